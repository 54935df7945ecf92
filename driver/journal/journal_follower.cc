#include "driver/journal/journal_follower.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/journal/segment_files.h"

namespace millrace::driver {

absl::Status JournalFollower::CatchUp() { return ReadOn(UINT64_MAX); }

absl::Status JournalFollower::Check(uint64_t counted_segment) {
  while (true) {
    RETURN_IF_ERROR(ReadOnOrAnew(UINT64_MAX));
    if (segment_ < counted_segment) {
      return absl::DataLossError(absl::StrCat(
          SegmentPath(directory_, counted_segment), " is not whole any more: it once counted, as ",
          directory_,
          "/LEASE says; restore the file from a copy. If it is lost, remove it and LEASE to ",
          segment_ == 0 ? "begin without any job"
                        : absl::StrCat("go on from ", SegmentName(segment_),
                                       " (jobs may then have written what is not in it)")));
    }
    if (segment_ == 0) {
      return absl::OkStatus();
    }
    const uint64_t segment = segment_;
    const uint64_t offset = frames_->offset();
    const absl::Status tail = frames_->TornBytes().status();
    if (tail.ok()) {
      return absl::OkStatus();
    }
    // While a driver writes, what was torn a moment ago is whole, with more behind it.
    RETURN_IF_ERROR(ReadOnOrAnew(UINT64_MAX));
    if (segment_ == segment && frames_->offset() == offset) {
      return tail;
    }
  }
}

absl::StatusOr<JournalEnd> JournalFollower::Finish(uint64_t end_segment) {
  RETURN_IF_ERROR(ReadOnOrAnew(end_segment));
  if (segment_ == 0) {
    return JournalEnd();
  }
  ASSIGN_OR_RETURN(const uint64_t torn, frames_->TornBytes());
  if (torn > 0) {
    spdlog::warn(
        "{}: the last {} bytes, from offset {}, were not written "
        "whole before a crash; they are "
        "cut off",
        path_, torn, frames_->offset());
  }
  return JournalEnd{segment_, frames_->offset(), frames_->checksum()};
}

// Begins anew after an error: what was being read may have been removed meanwhile.
absl::Status JournalFollower::ReadOnOrAnew(uint64_t end_segment) {
  const absl::Status read = ReadOn(end_segment);
  return read.ok() ? read : ReadOn(end_segment);
}

absl::Status JournalFollower::ReadOn(uint64_t end_segment) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> numbers, ListSegments(files_, directory_));
  std::erase_if(numbers, [end_segment](uint64_t number) { return number >= end_segment; });
  if (segment_ == 0 || numbers.empty() || numbers.back() != segment_) {
    ASSIGN_OR_RETURN(const std::optional<JournalSegment> last,
                     FindLastSegment(files_, directory_, end_segment));
    if (!last.has_value()) {
      segment_ = 0;
      state_->Reset();
      return absl::OkStatus();
    }
    if (last->number != segment_) {
      RETURN_IF_ERROR(BeginWith(*last));
    }
  }
  bool more = true;
  while (more) {
    const absl::StatusOr<bool> next =
        frames_->Next([this](const proto::JournalRecord& record) { return Replay(record); });
    if (!next.ok()) {
      segment_ = 0;
      return next.status();
    }
    more = *next;
  }
  return absl::OkStatus();
}

absl::Status JournalFollower::BeginWith(const JournalSegment& last) {
  segment_ = 0;
  state_->Reset();
  RETURN_IF_ERROR(ReadBefore(files_, directory_, last, [this](const proto::JournalRecord& record) {
    return Replay(record);
  }));
  path_ = last.path;
  frames_.emplace(files_, path_);
  segment_ = last.number;
  return absl::OkStatus();
}

absl::Status JournalFollower::Replay(const proto::JournalRecord& record) {
  return record.has_header() ? absl::OkStatus() : state_->Replay(record);
}

}  // namespace millrace::driver
