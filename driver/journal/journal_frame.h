// The format of a journal segment: a sequence of frames. Each frame holds what one group commit
// made durable.
//
//   frame   = "MRJ1" | payload length, u32 LE
//           | XXH3-64 of the payload, seeded with its length, u64 LE | payload
//   payload = (record length, u32 LE | serialized proto::JournalRecord)…
//
// A frame is written only after the one before it was synced. So a crash can leave only the last
// frame damaged. A damaged frame with a whole one behind it means that the disk, or a person,
// changed durable data.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_FRAME_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_FRAME_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"
#include "driver/journal/running_hash.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// Appends one frame with `records`. REQUIRES: their sizes add up to less than kMaxFrameBytes.
void AppendFrame(const std::vector<proto::JournalRecord>& records, std::string* out);

// A frame that claims to be longer is damaged.
inline constexpr uint64_t kMaxFrameBytes = 256 << 20;

using OnRecord = std::function<absl::Status(const proto::JournalRecord&)>;

// Reads the frames of a segment one after another, with one of them in memory at a time.
// Thread-compatible.
class FrameReader {
 public:
  // Bytes from `limit` on are treated as if they did not exist.
  FrameReader(FileSystem* files, std::string path, uint64_t limit = UINT64_MAX);

  // Passes the records of the next whole frame to `on_record`, and stops at its first error. False:
  // there is no whole frame yet; call again when the file has grown.
  absl::StatusOr<bool> Next(const OnRecord& on_record);

  // Where the frames that were read end, and the XXH3 of all bytes before that.
  uint64_t offset() const { return offset_; }
  uint64_t checksum() const { return hash_.value(); }

  // How many bytes the file has behind offset(). DATA_LOSS names file and offset when these are not
  // the torn tail of a crash, but damaged: there is a whole frame among them, or they do not look
  // like a part of one frame, or are more than that.
  // REQUIRES: Next has just found no whole frame.
  absl::StatusOr<uint64_t> TornBytes();

 private:
  // At least `length` bytes from offset() on, if the file has them.
  absl::StatusOr<std::string_view> Peek(uint64_t length);
  absl::StatusOr<std::string_view> PeekFrame();

  FileSystem* const files_;
  const std::string path_;
  const uint64_t limit_;
  uint64_t offset_ = 0;
  RunningHash hash_;
  std::string buffer_;
  uint64_t buffer_offset_ = 0;  // the file offset of its first byte
};

// The DATA_LOSS error for damage, with what to do about it.
absl::Status DamagedAt(const std::string& name, uint64_t offset);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_FRAME_H_
