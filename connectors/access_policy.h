// What scripts may reach on this machine: files below roots that the operator has named, and
// secrets that he has named. A process that runs what its own user typed (`millrace run`) confines
// nothing; one that takes scripts from the network admits nothing that is not named.
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
  // Confines nothing.
  AccessPolicy() = default;

  // `paths`: files or directories, with all below them. `secrets`: env:NAME, where a NAME may end
  // in
  // *, or file:PATH, a file or all below a directory. INVALID_ARGUMENT names an entry of another
  // form. `process` is who refuses, in messages: the command that takes --allow-path.
  static absl::StatusOr<AccessPolicy> Confined(std::string process, std::vector<std::string> paths,
                                               std::vector<std::string> secrets);

  bool confined() const { return confined_; }

  // OK when `path` lies below a root: a file, a directory, a pattern (what is before its first
  // wildcard counts, and ".." behind one is refused) or a file:// URL. Need not exist.
  // PERMISSION_DENIED names the path and how to allow it.
  absl::Status CheckPath(std::string_view path) const;

  // The same for one file that was found, whose name is no pattern.
  absl::Status CheckFile(std::string_view path) const;

  // OK when every reference ${env:NAME} and ${file:PATH} in `text` is one that is named.
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
