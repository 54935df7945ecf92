// What scripts may reach on this machine: files below roots, and secrets, that the operator has
// named. A process that runs only its own user's scripts (`millrace run`) restricts nothing; one
// that takes scripts from the network allows only what is named.
//
// Immutable, so safe from any thread. Reads the file system: symbolic links and ".." are followed
// before a path is judged.
#ifndef MILLRACE_CONNECTORS_ACCESS_POLICY_H_
#define MILLRACE_CONNECTORS_ACCESS_POLICY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace {

class AccessPolicy {
 public:
  // Restricts nothing.
  AccessPolicy() = default;

  // `paths`: files, or directories with all that is below them. `secrets`: env:NAME, where NAME may
  // end in *, or file:PATH, a file or all that is below a directory. INVALID_ARGUMENT names an
  // entry of another form. `process`: the command that refuses, and takes --allow-path, for
  // messages.
  static absl::StatusOr<AccessPolicy> Confined(std::string process, std::vector<std::string> paths,
                                               std::vector<std::string> secrets);

  bool confined() const { return confined_; }

  // OK when `path` lies below a root. It may be a file, a directory, a pattern (the part before its
  // first wildcard counts, and ".." behind one is refused) or a file:// URL, and need not exist.
  // PERMISSION_DENIED names the path and how to allow it.
  absl::Status CheckPath(std::string_view path) const;

  // The same for one file that was found, whose name is no pattern.
  absl::Status CheckFile(std::string_view path) const;

  // OK when the operator has named every secret that `text` refers to by ${env:NAME} or
  // ${file:PATH}.
  absl::Status CheckSecrets(std::string_view text) const;

 private:
  absl::Status Refusal(std::string_view path) const;
  bool AllowsSecret(std::string_view reference) const;

  bool confined_ = false;
  std::string process_;
  std::vector<std::string> paths_;
  std::vector<std::string> secrets_;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_ACCESS_POLICY_H_
