#include "connectors/kafka/client/start_position.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/base/status.h"

namespace millrace::kafka {
namespace {

absl::Status BadStart(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "option start = '", ToAbsl(text), "'", why.empty() ? "" : ": ", ToAbsl(why),
      "; allowed: earliest, latest, group, timestamp:2026-01-31T12:00:00Z, offsets:0:12,1:7 "
      "(partition:offset)"));
}

absl::StatusOr<int64_t> ParseTimestamp(std::string_view start, absl::string_view text) {
  int64_t milliseconds = 0;
  if (absl::SimpleAtoi(text, &milliseconds) && milliseconds >= 0) {
    return milliseconds;
  }
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error) &&
      !absl::ParseTime("%Y-%m-%d %H:%M:%S", text, &time, &error) &&
      !absl::ParseTime("%Y-%m-%d", text, &time, &error)) {
    return BadStart(start, "the time cannot be read");
  }
  return absl::ToUnixMillis(time);
}

}  // namespace

absl::StatusOr<KafkaStart> ParseKafkaStart(std::string_view text) {
  KafkaStart start;
  std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(ToAbsl(text), absl::MaxSplits(':', 1));
  if (text == "earliest" || text == "latest" || text == "group") {
    start.kind = text == "earliest" ? KafkaStart::Kind::kEarliest
                 : text == "latest" ? KafkaStart::Kind::kLatest
                                    : KafkaStart::Kind::kGroup;
    return start;
  }
  if (parts.first == "timestamp") {
    start.kind = KafkaStart::Kind::kTimestamp;
    ASSIGN_OR_RETURN(start.timestamp_ms, ParseTimestamp(text, parts.second));
    return start;
  }
  if (parts.first != "offsets") {
    return BadStart(text, "");
  }
  start.kind = KafkaStart::Kind::kOffsets;
  for (absl::string_view item : absl::StrSplit(parts.second, ',')) {
    std::vector<absl::string_view> pair = absl::StrSplit(item, ':');
    int32_t partition = -1;
    int64_t offset = -1;
    if (pair.size() != 2 || !absl::SimpleAtoi(pair[0], &partition) ||
        !absl::SimpleAtoi(pair[1], &offset) || partition < 0 || offset < 0) {
      return BadStart(text, absl::StrCat("\"", item, "\" is no partition:offset"));
    }
    if (!start.offsets.emplace(partition, offset).second) {
      return BadStart(text, absl::StrCat("partition ", partition, " appears twice"));
    }
  }
  if (start.offsets.empty()) {
    return BadStart(text, "it names no partition");
  }
  return start;
}

}  // namespace millrace::kafka
