#include "connectors/access_policy.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/storage/file_location.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWildcards = "*?[";

// The path after links and ".." are followed; nothing if that cannot be told, as behind a link to
// something that does not exist.
std::optional<fs::path> Resolve(const fs::path& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) {
    return std::nullopt;
  }
  const fs::path resolved = fs::weakly_canonical(absolute, error);
  if (error) {
    return std::nullopt;
  }
  fs::path walked;
  for (const fs::path& part : resolved) {
    walked /= part;
    if (part == ".." || fs::is_symlink(fs::symlink_status(walked, error))) {
      return std::nullopt;
    }
  }
  return resolved;
}

bool IsBelow(const fs::path& path, const fs::path& root) {
  const auto [in_root, in_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  // A directory's path may end in "/", as an empty last part.
  return in_root == root.end() || (in_root->empty() && std::next(in_root) == root.end());
}

bool IsBelowOneOf(const std::vector<std::string>& roots, const fs::path& path) {
  const std::optional<fs::path> resolved = Resolve(path);
  return resolved.has_value() && std::any_of(roots.begin(), roots.end(), [&](const auto& root) {
           const std::optional<fs::path> at = Resolve(root);
           return at.has_value() && IsBelow(*resolved, *at);
         });
}

// The directory in which all matches of a pattern lie, whatever it matches; nothing if ".." behind
// a wildcard, or dots that backslashes hide, could lead out of it. For a path without wildcards,
// the path itself.
std::optional<fs::path> FixedPart(const fs::path& pattern) {
  if (pattern.native().find_first_of(kWildcards) != std::string::npos &&
      pattern.native().find('\\') != std::string::npos) {
    return std::nullopt;
  }
  fs::path fixed;
  bool wild = false;
  for (const fs::path& part : pattern) {
    wild = wild || part.native().find_first_of(kWildcards) != std::string::npos;
    if (wild && part == "..") {
      return std::nullopt;
    }
    if (!wild) {
      fixed /= part;
    }
  }
  return fixed;
}

std::string Listed(const std::vector<std::string>& names) {
  return names.empty() ? "none is allowed" : absl::StrCat("allowed: ", absl::StrJoin(names, ", "));
}

// The secrets that a text refers to, "env:NAME" or "file:PATH": those that
// connectors/shared/secrets.cc would resolve.
std::vector<std::string_view> References(std::string_view text) {
  std::vector<std::string_view> references;
  while (true) {
    const size_t begin = text.find("${");
    const size_t end = begin == std::string_view::npos ? begin : text.find('}', begin);
    if (end == std::string_view::npos) {
      return references;
    }
    references.push_back(text.substr(begin + 2, end - begin - 2));
    text.remove_prefix(end + 1);
  }
}

}  // namespace

absl::StatusOr<AccessPolicy> AccessPolicy::Confined(std::string process,
                                                    std::vector<std::string> paths,
                                                    std::vector<std::string> secrets) {
  for (const std::string& path : paths) {
    if (path.empty()) {
      return absl::InvalidArgumentError("--allow-path needs a file or directory");
    }
  }
  for (const std::string& secret : secrets) {
    const bool env = secret.starts_with("env:") && secret.size() > 4;
    const bool file = secret.starts_with("file:") && secret.size() > 5;
    if (!env && !file) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--allow-secret takes env:NAME, env:BEGINNING* or file:PATH, not '", secret, "'"));
    }
  }
  AccessPolicy policy;
  policy.confined_ = true;
  policy.process_ = std::move(process);
  policy.paths_ = std::move(paths);
  policy.secrets_ = std::move(secrets);
  return policy;
}

absl::Status AccessPolicy::CheckPath(std::string_view path) const {
  if (!confined_) {
    return absl::OkStatus();
  }
  const absl::StatusOr<std::string> plain = PathOfLocation(path);
  const std::optional<fs::path> fixed = plain.ok() ? FixedPart(fs::path(*plain)) : std::nullopt;
  return fixed.has_value() && IsBelowOneOf(paths_, *fixed) ? absl::OkStatus() : Refusal(path);
}

absl::Status AccessPolicy::CheckFile(std::string_view path) const {
  return !confined_ || IsBelowOneOf(paths_, fs::path(path)) ? absl::OkStatus() : Refusal(path);
}

absl::Status AccessPolicy::Refusal(std::string_view path) const {
  return absl::PermissionDeniedError(
      absl::StrCat("path '", ToAbsl(path),
                   "' is not where scripts that come over the network may read and write", " (",
                   Listed(paths_), "); the operator allows a directory and all below it with ",
                   process_, " --allow-path DIRECTORY"));
}

bool AccessPolicy::AllowsSecret(std::string_view reference) const {
  return std::any_of(secrets_.begin(), secrets_.end(), [&](std::string_view allowed) {
    if (allowed.starts_with("file:")) {
      return reference.starts_with("file:") &&
             IsBelowOneOf({std::string(allowed.substr(5))}, fs::path(reference.substr(5)));
    }
    return allowed.ends_with('*') ? reference.starts_with(allowed.substr(0, allowed.size() - 1))
                                  : reference == allowed;
  });
}

absl::Status AccessPolicy::CheckSecrets(std::string_view text) const {
  if (!confined_) {
    return absl::OkStatus();
  }
  for (const std::string_view reference : References(text)) {
    if (!AllowsSecret(reference)) {
      return absl::PermissionDeniedError(absl::StrCat(
          "the secret ${", ToAbsl(reference),
          "} is not one that scripts that come over the network may use (", Listed(secrets_),
          "); the operator allows it with ", process_, " --allow-secret ", ToAbsl(reference)));
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace
