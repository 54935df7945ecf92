#include "common/types/zone_names.h"

#include <cstdlib>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

// The directory in which Abseil looks, too.
fs::path ZoneDirectory() {
  const char* directory = std::getenv("TZDIR");
  return directory != nullptr && *directory != '\0' ? directory : "/usr/share/zoneinfo";
}

// Whether the name has only letters, digits and other usual characters: nothing that leads out of
// the directory, and nothing that means something else to Abseil (':', "file:", an absolute path).
bool IsPlainName(std::string_view name) {
  bool begins_segment = true;
  for (const char c : name) {
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' ||
                       c == '+' || (c == '/' && !begins_segment);
    if (!plain) {
      return false;
    }
    begins_segment = c == '/';
  }
  return !begins_segment;
}

// The entry of `directory` with that name in any case; empty if there is none. The same spelling
// goes first.
std::string FindEntry(const fs::path& directory, const std::string& name) {
  std::error_code error;
  if (fs::exists(directory / name, error)) {
    return name;
  }
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::string found = entry->path().filename().string();
    if (absl::EqualsIgnoreCase(found, name)) {
      return found;
    }
  }
  return "";
}

// The name in the directory's spelling; empty if there is no such file.
std::string FindSpelling(std::string_view name) {
  fs::path directory = ZoneDirectory();
  std::string spelling;
  while (!name.empty()) {
    const size_t slash = std::min(name.find('/'), name.size());
    const std::string entry = FindEntry(directory, std::string(name.substr(0, slash)));
    if (entry.empty()) {
      return "";
    }
    directory /= entry;
    absl::StrAppend(&spelling, spelling.empty() ? "" : "/", entry);
    name.remove_prefix(std::min(slash + 1, name.size()));
  }
  std::error_code error;
  return fs::is_regular_file(directory, error) ? spelling : "";
}

// "right/…" counts leap seconds, which SQL's times do not.
bool IsForeign(std::string_view lower) {
  return lower == "localtime" || lower == "posixrules" || lower == "factory" ||
         lower.starts_with("right/");
}

class ZoneCache {
 public:
  std::optional<ZoneName> Find(std::string_view name) {
    const std::string lower = absl::AsciiStrToLower(ToAbsl(name));
    {
      absl::ReaderMutexLock lock(&mutex_);
      if (const auto found = zones_.find(lower); found != zones_.end()) {
        return found->second;
      }
    }
    if (!IsPlainName(name) || IsForeign(lower)) {
      return std::nullopt;
    }
    ZoneName loaded;
    loaded.name = FindSpelling(name);
    if (loaded.name.empty() || !absl::LoadTimeZone(loaded.name, &loaded.zone)) {
      return std::nullopt;
    }
    absl::WriterMutexLock lock(&mutex_);
    return zones_.emplace(lower, std::move(loaded)).first->second;
  }

 private:
  absl::Mutex mutex_;
  std::map<std::string, ZoneName> zones_ ABSL_GUARDED_BY(mutex_);  // those that exist, so bounded
};

}  // namespace

std::optional<ZoneName> FindZoneName(std::string_view name) {
  static ZoneCache* const cache = new ZoneCache();
  return cache->Find(name);
}

bool HasZoneNames() {
  std::error_code error;
  return fs::is_directory(ZoneDirectory(), error);
}

}  // namespace millrace
