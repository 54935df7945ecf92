// The bytes of a journal segment: a sequence of frames, each what one group commit made durable.
//
//   frame   = "MRJ1" | payload length, u32 LE | XXH3-64 of the payload seeded with its length, u64
//   LE | payload payload = (record length, u32 LE | serialized proto::JournalRecord)…
//
// A frame is written only after the one before it was synced. So a crash can leave at most the last
// frame damaged, and a damaged frame with a whole one after it means that the disk or somebody
// changed what was durable. Pure functions.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_FRAME_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_FRAME_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/journal.pb.h"

namespace millrace {

// Appends one frame with `records`. REQUIRES: their sizes add up to less than 4 GiB.
void AppendFrame(const std::vector<proto::JournalRecord>& records, std::string* out);

// What a frame has before its payload.
inline constexpr size_t kFrameHeaderBytes = 16;

// Length of the frame that begins with `bytes`, of which kFrameHeaderBytes are enough; 0 if none
// does.
size_t FrameLength(std::string_view bytes);

struct SegmentEnd {
  size_t whole_bytes = 0;  // length of the whole frames
  size_t torn_bytes = 0;   // of the damaged tail after them
  size_t last_frame = 0;   // where the last of the whole frames begins
};

// Calls `on_record` for every record of the whole frames of `bytes`. DATA_LOSS names `name` and the
// offset when a damaged frame is followed by a whole one; an error of `on_record` ends the reading.
absl::StatusOr<SegmentEnd> ReadFrames(
    std::string_view bytes, const std::string& name,
    const std::function<absl::Status(const proto::JournalRecord&)>& on_record);

// DATA_LOSS with what to do about it.
absl::Status DamagedAt(const std::string& name, size_t offset);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_FRAME_H_
