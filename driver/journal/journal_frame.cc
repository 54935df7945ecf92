#include "driver/journal/journal_frame.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/little_endian.h"
#include "common/base/status.h"

namespace millrace::driver {
namespace {

constexpr std::string_view kMagic = "MRJ1";
constexpr size_t kHashOffset = 8;
constexpr size_t kFrameHeaderBytes = 16;
constexpr uint64_t kReadAheadBytes = 1 << 20;

// The length is the hash's seed, so that a damaged length does not pass by luck.
uint64_t HashOf(std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), payload.size());
}

// The payload of the frame that `bytes` begins with, if the frame is whole.
std::optional<std::string_view> WholePayload(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic) {
    return std::nullopt;
  }
  const auto length = ReadLittleEndian<uint32_t>(bytes, kMagic.size());
  if (length > bytes.size() - kFrameHeaderBytes) {
    return std::nullopt;
  }
  const std::string_view payload = bytes.substr(kFrameHeaderBytes, length);
  if (HashOf(payload) != ReadLittleEndian<uint64_t>(bytes, kHashOffset)) {
    return std::nullopt;
  }
  return payload;
}

// The length of the frame that `bytes` begins with; 0 if it begins with none.
uint64_t FrameLength(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic) {
    return 0;
  }
  const uint64_t length =
      kFrameHeaderBytes + uint64_t{ReadLittleEndian<uint32_t>(bytes, kMagic.size())};
  return length <= kMaxFrameBytes ? length : 0;
}

// Whether `left` bytes that begin like this may be what a crash has left of one frame: its
// beginning, or zeros where the disk had no data yet. What comes after a frame is written only when
// that is durable, so nothing is behind a torn one.
bool MayBeTorn(std::string_view begin, uint64_t left) {
  const std::string_view magic = begin.substr(0, std::min(kMagic.size(), begin.size()));
  if (magic.find_first_not_of('\0') == std::string_view::npos) {
    return true;
  }
  if (magic != kMagic.substr(0, magic.size())) {
    return false;
  }
  return begin.size() < kFrameHeaderBytes || left <= FrameLength(begin);
}

absl::Status ReadRecords(std::string_view payload, const std::string& where,
                         const OnRecord& on_record) {
  proto::JournalRecord record;
  while (!payload.empty()) {
    const uint32_t length =
        payload.size() < 4 ? UINT32_MAX : ReadLittleEndian<uint32_t>(payload, 0);
    if (payload.size() < 4 || length > payload.size() - 4 ||
        !record.ParseFromArray(payload.data() + 4, static_cast<int>(length))) {
      return absl::DataLossError(absl::StrCat(where, ": a record cannot be read"));
    }
    RETURN_IF_ERROR(on_record(record));
    payload.remove_prefix(4 + length);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DamagedAt(const std::string& name, uint64_t offset) {
  return absl::DataLossError(absl::StrCat(
      name, " is damaged at offset ", offset,
      ": restore the file from a copy, or move the directory away and submit the jobs anew"));
}

void AppendFrame(const std::vector<proto::JournalRecord>& records, std::string* out) {
  const size_t start = out->size();
  out->append(kMagic);
  out->append(kFrameHeaderBytes - kMagic.size(), '\0');
  for (const proto::JournalRecord& record : records) {
    AppendLittleEndian(static_cast<uint32_t>(record.ByteSizeLong()), out);
    record.AppendToString(out);
  }
  const std::string_view payload = std::string_view(*out).substr(start + kFrameHeaderBytes);
  MILLRACE_CHECK(kFrameHeaderBytes + payload.size() <= kMaxFrameBytes)
      << "journal frame of " << payload.size() << " bytes";
  const auto length = static_cast<uint32_t>(payload.size());
  const uint64_t hash = HashOf(payload);
  std::memcpy(out->data() + start + kMagic.size(), &length, sizeof(length));
  std::memcpy(out->data() + start + kHashOffset, &hash, sizeof(hash));
}

FrameReader::FrameReader(FileSystem* files, std::string path, uint64_t limit)
    : files_(files), path_(std::move(path)), limit_(limit) {}

absl::StatusOr<std::string_view> FrameReader::Peek(uint64_t length) {
  if (buffer_offset_ + buffer_.size() < offset_ + length) {
    const uint64_t wanted = std::min(std::max(length, kReadAheadBytes), limit_ - offset_);
    ASSIGN_OR_RETURN(buffer_, files_->ReadRange(path_, static_cast<int64_t>(offset_),
                                                static_cast<int64_t>(wanted)));
    buffer_offset_ = offset_;
  }
  return std::string_view(buffer_).substr(offset_ - buffer_offset_);
}

// The frame at offset_; empty if there is no whole one.
absl::StatusOr<std::string_view> FrameReader::PeekFrame() {
  ASSIGN_OR_RETURN(std::string_view bytes, Peek(kFrameHeaderBytes));
  const uint64_t length = FrameLength(bytes);
  if (length == 0) {
    return std::string_view();
  }
  ASSIGN_OR_RETURN(bytes, Peek(length));
  return WholePayload(bytes).has_value() ? bytes.substr(0, length) : std::string_view();
}

absl::StatusOr<bool> FrameReader::Next(const OnRecord& on_record) {
  ASSIGN_OR_RETURN(std::string_view frame, PeekFrame());
  if (frame.empty()) {
    buffer_.clear();  // the file may have grown since it was filled
    ASSIGN_OR_RETURN(frame, PeekFrame());
  }
  if (frame.empty()) {
    return false;
  }
  RETURN_IF_ERROR(ReadRecords(frame.substr(kFrameHeaderBytes),
                              absl::StrCat(path_, " at offset ", offset_), on_record));
  hash_.Add(frame);
  offset_ += frame.size();
  return true;
}

absl::StatusOr<uint64_t> FrameReader::TornBytes() {
  ASSIGN_OR_RETURN(const int64_t size, files_->Size(path_));
  const uint64_t end = std::min(static_cast<uint64_t>(size), limit_);
  FrameReader behind(files_, path_, end);
  for (uint64_t at = offset_ + 1; at + kFrameHeaderBytes <= end;) {
    behind.offset_ = at;
    ASSIGN_OR_RETURN(const std::string_view bytes, behind.Peek(kFrameHeaderBytes));
    const size_t found = bytes.find(kMagic);
    if (found != 0) {
      // A magic may begin in the last bytes of the buffer and go on behind it: these bytes are
      // looked at again.
      const size_t none = std::max(bytes.size(), kMagic.size()) - (kMagic.size() - 1);
      at += std::min(found, none);
      continue;
    }
    ASSIGN_OR_RETURN(const std::string_view frame, behind.PeekFrame());
    if (!frame.empty()) {
      return DamagedAt(path_, offset_);
    }
    ++at;
  }
  if (end <= offset_) {
    return 0;
  }
  ASSIGN_OR_RETURN(const std::string_view torn, Peek(kFrameHeaderBytes));
  const uint64_t left = end - offset_;
  return MayBeTorn(torn.substr(0, left), left) ? absl::StatusOr<uint64_t>(left)
                                               : DamagedAt(path_, offset_);
}

}  // namespace millrace::driver
