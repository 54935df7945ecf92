// How one executor shows another who it is when it opens a stream of rows: with a key that only the
// driver and the two of them know, for one epoch of one job and one direction. The driver derives
// keys from a secret of its process and hands each member its own (proto/cluster.proto,
// StartEpoch); the receiver opens every stream with a nonce, and the sender proves over it that it
// has the key. So a process that reaches the port, or an executor of another epoch, cannot speak
// for a member, and what is overheard on one stream is of no use on another.
//
// Where streams are encrypted and certified some day (TLS), that replaces StreamProof; who is told
// which key stays as it is. Pure functions; HMAC-SHA-256 (RFC 2104) throughout.
#ifndef MILLRACE_COMMON_RPC_STREAM_PROOF_H_
#define MILLRACE_COMMON_RPC_STREAM_PROOF_H_

#include <string>
#include <string_view>

#include "common/base/ids.h"

namespace millrace {

// 32 bytes that nobody can guess.
std::string NewStreamSecret();

// The key with which executor `from` proves itself to executor `to`.
std::string StreamKey(std::string_view secret, const JobId& job, Epoch epoch, std::string_view from,
                      std::string_view to);

// What the sender of a stream says for a job's epoch. REQUIRES: key and nonce are not empty.
std::string StreamProof(std::string_view key, std::string_view nonce, const JobId& job,
                        Epoch epoch);

// Comparison in a time that tells nothing of where they differ.
bool SameProof(std::string_view a, std::string_view b);

}  // namespace millrace

#endif  // MILLRACE_COMMON_RPC_STREAM_PROOF_H_
