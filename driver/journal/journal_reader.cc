#include "driver/journal/journal_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/journal/segment_files.h"

namespace millrace::driver {
namespace {

absl::Status CheckVersion(const JournalSegment& segment) {
  if (segment.header.format_version() <= kJournalFormatVersion) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      segment.path, " was written by Millrace ", segment.header.engine_version(),
      " in journal format ", segment.header.format_version(), "; this one reads formats up to ",
      kJournalFormatVersion, ": start that version, or use another directory"));
}

absl::Status PreviousMissing(const JournalSegment& segment) {
  return absl::DataLossError(absl::StrCat(
      segment.path, " goes on after ", segment.header.previous_length(), " bytes of ",
      SegmentName(segment.header.previous_segment()),
      ", which are not there: restore the file from a copy, or move the directory away and submit "
      "the jobs anew"));
}

// Opens a segment. Nothing if the segment never counted, because its header, or the checkpoint that
// should follow it, was not written whole; then it holds no other records.
absl::StatusOr<std::optional<JournalSegment>> OpenSegment(FileSystem* files,
                                                          const std::string& directory,
                                                          uint64_t number) {
  JournalSegment segment{number, SegmentPath(directory, number), {}};
  FrameReader frames(files, segment.path);
  bool first = true;
  bool ended = false;
  const auto look = [&](const proto::JournalRecord& record) -> absl::Status {
    if (first && !record.has_header()) {
      return absl::DataLossError(
          absl::StrCat(segment.path, " does not begin with a journal's header"));
    }
    if (std::exchange(first, false)) {
      segment.header = record.header();
      return CheckVersion(segment);
    }
    ended = ended || record.has_checkpoint_end();
    return absl::OkStatus();
  };
  while (first || (segment.header.checkpoint() && !ended)) {
    ASSIGN_OR_RETURN(const bool whole, frames.Next(look));
    if (!whole) {
      RETURN_IF_ERROR(frames.TornBytes().status());
      return std::optional<JournalSegment>();
    }
  }
  return std::make_optional(std::move(segment));
}

// `last` and the segments that it continues, oldest first. `whole`: also the segments that its
// checkpoint replaces, as far as they still exist.
absl::StatusOr<std::vector<JournalSegment>> FindChain(FileSystem* files,
                                                      const std::string& directory,
                                                      JournalSegment last, bool whole) {
  std::vector<JournalSegment> chain;
  chain.push_back(std::move(last));
  while (chain.back().header.previous_segment() != 0) {
    const JournalSegment& next = chain.back();
    const bool needed = !next.header.checkpoint();
    if (!needed && !whole) {
      break;
    }
    if (next.header.previous_segment() >= next.number) {
      return DamagedAt(next.path, 0);
    }
    absl::StatusOr<std::optional<JournalSegment>> segment =
        OpenSegment(files, directory, next.header.previous_segment());
    if (absl::IsNotFound(segment.status()) || (segment.ok() && !segment->has_value())) {
      if (needed) {
        return PreviousMissing(next);
      }
      break;
    }
    RETURN_IF_ERROR(segment.status());
    chain.push_back(**std::move(segment));
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

absl::Status ReadAllFrames(FrameReader* frames, const OnRecord& on_record) {
  bool more = true;
  while (more) {
    ASSIGN_OR_RETURN(more, frames->Next(on_record));
  }
  return absl::OkStatus();
}

// Reads a segment up to its cut, and checks that these bytes are those that its successor has read.
absl::Status ReadUpToCut(FileSystem* files, const JournalSegment& segment,
                         const JournalSegment& next, const OnRecord& on_record) {
  const uint64_t length = next.header.previous_length();
  FrameReader frames(files, segment.path, length);
  RETURN_IF_ERROR(ReadAllFrames(&frames, on_record));
  if (frames.offset() < length) {
    ASSIGN_OR_RETURN(const uint64_t torn, frames.TornBytes());
    if (next.header.checkpoint()) {
      // The successor may have read a last frame that never became durable; but its checkpoint,
      // which has the records, is.
      return absl::OkStatus();
    }
    return frames.offset() + torn < length ? PreviousMissing(next)
                                           : DamagedAt(segment.path, frames.offset());
  }
  if (next.header.format_version() >= 2 && next.header.previous_checksum() != frames.checksum()) {
    return absl::DataLossError(absl::StrCat(segment.path, " was changed: what is before offset ",
                                            length, " is whole, but not what ", next.path,
                                            " goes on after; restore the file from a copy"));
  }
  return absl::OkStatus();
}

absl::Status ReadLinks(FileSystem* files, const std::vector<JournalSegment>& chain,
                       const OnRecord& on_record) {
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    RETURN_IF_ERROR(ReadUpToCut(files, chain[i], chain[i + 1], on_record));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<JournalSegment>> FindLastSegment(FileSystem* files,
                                                              const std::string& directory,
                                                              uint64_t end_segment) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, ListSegments(files, directory));
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    if (*number >= end_segment) {
      continue;
    }
    ASSIGN_OR_RETURN(std::optional<JournalSegment> segment, OpenSegment(files, directory, *number));
    if (segment.has_value()) {
      return segment;
    }
  }
  return std::optional<JournalSegment>();
}

absl::Status ReadBefore(FileSystem* files, const std::string& directory, const JournalSegment& last,
                        const OnRecord& on_record) {
  ASSIGN_OR_RETURN(const std::vector<JournalSegment> chain,
                   FindChain(files, directory, last, /*whole=*/false));
  return ReadLinks(files, chain, on_record);
}

absl::Status ReadJournalUpTo(FileSystem* files, const std::string& directory, const JournalEnd& end,
                             JournalState* state) {
  state->Reset();
  ASSIGN_OR_RETURN(std::optional<JournalSegment> last, OpenSegment(files, directory, end.segment));
  if (!last.has_value()) {
    return DamagedAt(SegmentPath(directory, end.segment), 0);
  }
  const auto replay = [state](const proto::JournalRecord& record) {
    return record.has_header() ? absl::OkStatus() : state->Replay(record);
  };
  RETURN_IF_ERROR(ReadBefore(files, directory, *last, replay));
  FrameReader frames(files, last->path, end.length);
  RETURN_IF_ERROR(ReadAllFrames(&frames, replay));
  return frames.offset() == end.length && frames.checksum() == end.checksum
             ? absl::OkStatus()
             : DamagedAt(last->path, frames.offset());
}

absl::Status ReadJournalRecords(FileSystem* files, const std::string& directory,
                                const OnRecord& on_record) {
  ASSIGN_OR_RETURN(std::optional<JournalSegment> last,
                   FindLastSegment(files, directory, UINT64_MAX));
  if (!last.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<JournalSegment> chain,
                   FindChain(files, directory, *std::move(last), /*whole=*/true));
  bool first = true;      // this is the oldest segment
  bool repeated = false;  // reading a checkpoint that repeats earlier segments
  const auto pass_on = [&](const proto::JournalRecord& record) -> absl::Status {
    if (record.has_header()) {
      repeated = !std::exchange(first, false) && record.header().checkpoint();
      return absl::OkStatus();
    }
    if (repeated || record.has_checkpoint_end()) {
      repeated = repeated && !record.has_checkpoint_end();
      return absl::OkStatus();
    }
    return on_record(record);
  };
  RETURN_IF_ERROR(ReadLinks(files, chain, pass_on));
  FrameReader frames(files, chain.back().path);
  RETURN_IF_ERROR(ReadAllFrames(&frames, pass_on));
  return frames.TornBytes().status();
}

}  // namespace millrace::driver
