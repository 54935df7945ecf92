#include "connectors/shared/secrets.h"

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/storage/file_system.h"

namespace millrace {
namespace {

constexpr int64_t kMaxSecretBytes = 1 << 20;

absl::StatusOr<std::string> FromFile(const std::string& path) {
  absl::StatusOr<std::string> read = FileSystem::Real()->ReadRange(path, 0, kMaxSecretBytes + 1);
  if (!read.ok()) {
    return absl::NotFoundError(absl::StrCat(
        "the secret ${file:", path, "}: the file cannot be read: ", read.status().message()));
  }
  std::string text = *std::move(read);
  if (static_cast<int64_t>(text.size()) > kMaxSecretBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the secret ${file:", path, "}: the file is longer than ", kMaxSecretBytes, " bytes"));
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
    text.pop_back();
  }
  return text;
}

absl::StatusOr<std::string> Resolve(std::string_view reference) {
  if (reference.rfind("env:", 0) == 0) {
    std::string name(reference.substr(4));
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      return absl::NotFoundError(absl::StrCat("the secret ${env:", name,
                                              "}: the process has no such environment variable"));
    }
    return std::string(value);
  }
  if (reference.rfind("file:", 0) == 0) {
    return FromFile(std::string(reference.substr(5)));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "${", ToAbsl(reference), "} is no secret reference; allowed: ${env:NAME}, ${file:PATH}"));
}

}  // namespace

bool HasSecretReference(std::string_view text) { return text.find("${") != std::string_view::npos; }

absl::StatusOr<std::string> ResolveSecrets(std::string_view text) {
  std::string resolved;
  while (true) {
    size_t begin = text.find("${");
    size_t end = begin == std::string_view::npos ? begin : text.find('}', begin);
    if (end == std::string_view::npos) {
      resolved.append(text);
      return resolved;
    }
    resolved.append(text.substr(0, begin));
    ASSIGN_OR_RETURN(std::string value, Resolve(text.substr(begin + 2, end - begin - 2)));
    resolved += value;
    text.remove_prefix(end + 1);
  }
}

}  // namespace millrace
