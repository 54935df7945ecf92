// Finds what a peer would refuse in a message before it is sent: then the error can say what it is.
// Of a message that cannot be encoded or decoded, gRPC says nothing at all. Pure.
#ifndef MILLRACE_COMMON_RPC_TEXT_CHECK_H_
#define MILLRACE_COMMON_RPC_TEXT_CHECK_H_

#include <google/protobuf/message.h>

#include "absl/status/status.h"

namespace millrace {

// INVALID_ARGUMENT names the first text of the message, or of one within it, that is not UTF-8, by
// its field, with its bytes escaped. Costs a look at all texts.
absl::Status CheckTexts(const google::protobuf::Message& message);

}  // namespace millrace

#endif  // MILLRACE_COMMON_RPC_TEXT_CHECK_H_
