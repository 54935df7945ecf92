// How an executor proves to another who it is when it opens a stream of rows: by a key that only
// the driver and these two know, for one epoch of one job and one direction. The driver derives
// keys from a secret of its process and sends each member its own (proto/cluster.proto,
// StartEpoch). The receiver begins every stream with a nonce, and the sender computes a proof over
// it with the key. So a process that can reach the port, or an executor of another epoch, cannot
// pass as a member, and a proof that was overheard on one stream is useless on another.
//
// If streams get encryption and certificates some day (TLS), that replaces StreamProof; who gets
// which key stays the same. Pure functions; HMAC-SHA-256 (RFC 2104) throughout.
#ifndef MILLRACE_COMMON_RPC_STREAM_PROOF_H_
#define MILLRACE_COMMON_RPC_STREAM_PROOF_H_

#include <string>
#include <string_view>

#include "common/base/ids.h"

namespace millrace {

// Returns 32 random bytes that nobody can guess.
std::string NewStreamSecret();

// The key with which executor `from` proves itself to executor `to`.
std::string StreamKey(std::string_view secret, const JobId& job, Epoch epoch, std::string_view from,
                      std::string_view to);

// The proof that the sender of a stream gives for a job's epoch. REQUIRES: key and nonce are not
// empty.
std::string StreamProof(std::string_view key, std::string_view nonce, const JobId& job,
                        Epoch epoch);

// Compares in a time that does not depend on where the proofs differ.
bool SameProof(std::string_view a, std::string_view b);

}  // namespace millrace

#endif  // MILLRACE_COMMON_RPC_STREAM_PROOF_H_
