#include "connectors/file/sink/file_sink_marker.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"

namespace millrace::file {
namespace {

constexpr char kOpenEnd[] = ".open";
constexpr char kNone[] = "-";
constexpr size_t kFields = 6;  // before the closed files

// "12" or "12-1".
std::optional<Epoch> ParseEpoch(std::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), absl::MaxSplits('-', 1));
  int64_t epoch = 0;
  int64_t copy = 0;
  if (!absl::SimpleAtoi(parts[0], &epoch) ||
      (parts.size() == 2 && !absl::SimpleAtoi(parts[1], &copy))) {
    return std::nullopt;
  }
  return Epoch(epoch);
}

// Where ".e<epoch>[-<copy>].open" begins in the name of an open file, else npos.
size_t EpochBegin(std::string_view name) {
  if (!absl::StartsWith(ToAbsl(name), ".") || !absl::EndsWith(ToAbsl(name), kOpenEnd)) {
    return std::string_view::npos;
  }
  const size_t begin = name.substr(0, name.size() - (sizeof(kOpenEnd) - 1)).rfind(".e");
  return begin == 0 ? std::string_view::npos : begin;
}

bool IsOpenName(const std::string& name) {
  return !FileSinkNames::FinalOf(name).empty() && name.find('/') == std::string::npos;
}

}  // namespace

FileSinkNames::FileSinkNames(uint32_t sink, uint32_t shard, std::string_view incarnation,
                             std::string_view extension)
    : shard_(absl::StrCat("part-", sink, "-", shard, "-", ToAbsl(incarnation.substr(0, 8)), "-")),
      extension_(extension) {}

std::string FileSinkNames::Final(int64_t seq) const {
  return absl::StrCat(shard_, absl::Dec(seq, absl::kZeroPad6), ".", extension_);
}

std::string FileSinkNames::OpenOf(std::string_view final, Epoch epoch, int64_t copy) {
  return absl::StrCat(".", ToAbsl(final), ".e", epoch.value(),
                      copy == 0 ? "" : absl::StrCat("-", copy), kOpenEnd);
}

std::optional<int64_t> FileSinkNames::SeqOfFinal(std::string_view name) const {
  int64_t seq = 0;
  if (!absl::StartsWith(ToAbsl(name), shard_)) {
    return std::nullopt;
  }
  const std::string_view rest = name.substr(shard_.size());
  return absl::SimpleAtoi(ToAbsl(rest.substr(0, rest.find('.'))), &seq) ? std::optional(seq)
                                                                        : std::nullopt;
}

std::optional<Epoch> FileSinkNames::EpochOfOpen(std::string_view name) const {
  const size_t begin = EpochBegin(name);
  if (begin == std::string_view::npos || !SeqOfFinal(name.substr(1)).has_value()) {
    return std::nullopt;
  }
  name.remove_suffix(sizeof(kOpenEnd) - 1);
  return ParseEpoch(name.substr(begin + 2));
}

std::string FileSinkNames::FinalOf(std::string_view open) {
  const size_t begin = EpochBegin(open);
  if (begin == std::string_view::npos ||
      !ParseEpoch(open.substr(begin + 2, open.size() - begin - 2 - (sizeof(kOpenEnd) - 1)))) {
    return "";
  }
  return std::string(open.substr(1, begin - 1));
}

// "<batch> <seq> <shape> <length> <begin> <open>[ <length> <closed>]…"
std::string FileSinkMarker::ToString() const {
  std::string text = absl::StrCat(batch.value(), " ", seq, " ", shape, " ", length, " ", begin_us,
                                  " ", open.empty() ? kNone : open);
  for (const Closed& file : closed) {
    absl::StrAppend(&text, " ", file.length, " ", file.open);
  }
  return text;
}

absl::StatusOr<FileSinkMarker> FileSinkMarker::Parse(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  const absl::Status bad =
      absl::DataLossError(absl::StrCat("\"", text, "\" is no marker of a file sink"));
  FileSinkMarker marker;
  int64_t batch = 0;
  if (parts.size() < kFields || parts.size() % 2 != 0 || !absl::SimpleAtoi(parts[0], &batch) ||
      !absl::SimpleAtoi(parts[1], &marker.seq) || !absl::SimpleAtoi(parts[3], &marker.length) ||
      !absl::SimpleAtoi(parts[4], &marker.begin_us) || batch < 0 || marker.length < 0) {
    return bad;
  }
  marker.batch = BatchId(batch);
  marker.shape = parts[2];
  if (parts[5] != kNone) {
    marker.open = parts[5];
  }
  if (marker.open.empty() != (marker.length == 0) ||
      (!marker.open.empty() && !IsOpenName(marker.open))) {
    return bad;
  }
  for (size_t i = kFields; i < parts.size(); i += 2) {
    Closed file{.open = parts[i + 1]};
    if (!absl::SimpleAtoi(parts[i], &file.length) || file.length <= 0 || !IsOpenName(file.open)) {
      return bad;
    }
    marker.closed.push_back(std::move(file));
  }
  return marker;
}

}  // namespace millrace::file
