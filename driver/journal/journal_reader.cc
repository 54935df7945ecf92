#include "driver/journal/journal_reader.h"

#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/journal/journal_frame.h"
#include "driver/journal/segment_files.h"

namespace millrace {
namespace {

using OnRecord = std::function<absl::Status(const proto::JournalRecord&)>;

struct Segment {
  uint64_t number = 0;
  std::string path;
  proto::JournalHeader header;
};

absl::Status Ignore(const proto::JournalRecord&) { return absl::OkStatus(); }

absl::Status CheckVersion(const Segment& segment) {
  if (segment.header.format_version() <= kJournalFormatVersion) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      segment.path, " was written by Millrace ", segment.header.engine_version(),
      " in journal format ", segment.header.format_version(), "; this one reads formats up to ",
      kJournalFormatVersion, ": start that version, or use another directory"));
}

absl::Status PreviousMissing(const Segment& segment) {
  return absl::DataLossError(absl::StrCat(
      segment.path, " goes on after ", segment.header.previous_length(), " bytes of ",
      SegmentName(segment.header.previous_segment()),
      ", which are not there: restore the file from a copy, or move the directory away and submit "
      "the jobs anew"));
}

class JournalReader {
 public:
  JournalReader(FileSystem* files, const std::string& directory, const OnRecord& on_record)
      : files_(files), directory_(directory), on_record_([&on_record](const auto& record) {
          return record.has_header() ? absl::OkStatus() : on_record(record);
        }) {}

  absl::StatusOr<JournalEnd> Read(uint64_t end_segment) {
    ASSIGN_OR_RETURN(const std::vector<Segment> chain, FindChain(end_segment));
    for (size_t i = 0; i + 1 < chain.size(); ++i) {
      RETURN_IF_ERROR(ReadUpToCut(chain[i], chain[i + 1]));
    }
    return chain.empty() ? JournalEnd() : ReadLast(chain.back());
  }

 private:
  // The segments that count, first to last.
  absl::StatusOr<std::vector<Segment>> FindChain(uint64_t end_segment) {
    ASSIGN_OR_RETURN(std::vector<uint64_t> numbers, ListSegments(files_, directory_));
    std::erase_if(numbers, [&](uint64_t number) { return number >= end_segment; });
    std::vector<Segment> chain;
    for (auto number = numbers.rbegin(); number != numbers.rend() && chain.empty(); ++number) {
      ASSIGN_OR_RETURN(std::optional<Segment> last, Open(*number));
      if (last.has_value()) {
        chain.push_back(*std::move(last));
      }
    }
    while (!chain.empty() && chain.back().header.previous_segment() != 0) {
      const Segment& next = chain.back();
      if (next.header.previous_segment() >= next.number) {
        return DamagedAt(next.path, 0);
      }
      absl::StatusOr<std::optional<Segment>> segment = Open(next.header.previous_segment());
      if (absl::IsNotFound(segment.status()) || (segment.ok() && !segment->has_value())) {
        return PreviousMissing(next);
      }
      RETURN_IF_ERROR(segment.status());
      chain.push_back(**std::move(segment));
    }
    std::reverse(chain.begin(), chain.end());
    return chain;
  }

  // Nothing if its header was never written whole, so that nothing else can have been.
  absl::StatusOr<std::optional<Segment>> Open(uint64_t number) {
    Segment segment{number, SegmentPath(directory_, number), {}};
    ASSIGN_OR_RETURN(std::string frame, files_->ReadRange(segment.path, 0, kFrameHeaderBytes));
    ASSIGN_OR_RETURN(frame,
                     files_->ReadRange(segment.path, 0, static_cast<int64_t>(FrameLength(frame))));
    std::vector<proto::JournalRecord> records;
    ASSIGN_OR_RETURN(const SegmentEnd end, ReadFrames(frame, segment.path, [&](const auto& record) {
                       records.push_back(record);
                       return absl::OkStatus();
                     }));
    if (end.whole_bytes == 0) {
      ASSIGN_OR_RETURN(const std::string bytes, files_->Read(segment.path));
      RETURN_IF_ERROR(ReadFrames(bytes, segment.path, &Ignore).status());
      return std::optional<Segment>();
    }
    if (records.empty() || !records.front().has_header()) {
      return absl::DataLossError(
          absl::StrCat(segment.path, " does not begin with a journal's header"));
    }
    segment.header = records.front().header();
    RETURN_IF_ERROR(CheckVersion(segment));
    return std::make_optional(std::move(segment));
  }

  // Up to its cut a segment must be byte for byte what its successor has read.
  absl::Status ReadUpToCut(const Segment& segment, const Segment& next) {
    const uint64_t length = next.header.previous_length();
    ASSIGN_OR_RETURN(const std::string bytes,
                     files_->ReadRange(segment.path, 0, static_cast<int64_t>(length)));
    if (bytes.size() < length) {
      return PreviousMissing(next);
    }
    last_cut_ = {segment.number, length, XXH3_64bits(bytes.data(), bytes.size())};
    const bool same =
        next.header.format_version() < 2 || next.header.previous_checksum() == last_cut_.checksum;
    ASSIGN_OR_RETURN(const SegmentEnd end,
                     ReadFrames(bytes, segment.path, same ? on_record_ : OnRecord(&Ignore)));
    if (end.torn_bytes > 0) {
      return DamagedAt(segment.path, end.whole_bytes);
    }
    if (!same) {
      return absl::DataLossError(absl::StrCat(segment.path, " was changed: what is before offset ",
                                              length, " is whole, but not what ", next.path,
                                              " goes on after; restore the file from a copy"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<JournalEnd> ReadLast(const Segment& segment) {
    ASSIGN_OR_RETURN(const std::string bytes, files_->Read(segment.path));
    ASSIGN_OR_RETURN(const SegmentEnd end, ReadFrames(bytes, segment.path, on_record_));
    if (end.torn_bytes > 0) {
      spdlog::warn(
          "{}: the last {} bytes, from offset {}, were not written whole before a crash; they are "
          "cut off",
          segment.path, end.torn_bytes, end.whole_bytes);
    }
    JournalEnd result;
    // If there is nothing but the header, the cut that it makes is what may not be on the disk.
    result.cut = end.last_frame == 0 ? last_cut_
                                     : JournalCut{segment.number, end.last_frame,
                                                  XXH3_64bits(bytes.data(), end.last_frame)};
    const std::string_view last =
        std::string_view(bytes).substr(end.last_frame, end.whole_bytes - end.last_frame);
    RETURN_IF_ERROR(ReadFrames(last, segment.path, [&](const proto::JournalRecord& record) {
                      if (!record.has_header()) {
                        result.carried.push_back(record);
                      }
                      return absl::OkStatus();
                    }).status());
    return result;
  }

  FileSystem* const files_;
  const std::string& directory_;
  const OnRecord on_record_;
  JournalCut last_cut_;
};

}  // namespace

absl::StatusOr<JournalEnd> ReadJournal(FileSystem* files, const std::string& directory,
                                       uint64_t end_segment, const OnRecord& on_record) {
  return JournalReader(files, directory, on_record).Read(end_segment);
}

}  // namespace millrace
