// References to secrets in options: ${env:NAME} and ${file:PATH}. They are resolved where a client
// is created, as late as possible; resolved text is never logged, journaled or put into a message.
#ifndef MILLRACE_CONNECTORS_SHARED_SECRETS_H_
#define MILLRACE_CONNECTORS_SHARED_SECRETS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace {

bool HasSecretReference(std::string_view text);

// `text` with every reference replaced; a file's trailing newline is dropped. NOT_FOUND names the
// variable or file, INVALID_ARGUMENT a reference of another form. Reads the environment and files:
// thread-safe as these are.
absl::StatusOr<std::string> ResolveSecrets(std::string_view text);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SHARED_SECRETS_H_
