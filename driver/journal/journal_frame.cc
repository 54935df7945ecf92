#include "driver/journal/journal_frame.h"

#include <xxhash.h>

#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/little_endian.h"
#include "common/base/status.h"

namespace millrace {
namespace {

constexpr std::string_view kMagic = "MRJ1";
constexpr size_t kHashOffset = 8;

// The length is the seed, so that a damaged one does not pass by luck.
uint64_t HashOf(std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), payload.size());
}

// The payload of the frame at the start of `bytes` if it is whole.
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

bool HasWholeFrame(std::string_view bytes) {
  for (size_t at = bytes.find(kMagic); at != std::string_view::npos;
       at = bytes.find(kMagic, at + 1)) {
    if (WholePayload(bytes.substr(at)).has_value()) {
      return true;
    }
  }
  return false;
}

absl::Status ReadRecords(
    std::string_view payload, const std::string& where,
    const std::function<absl::Status(const proto::JournalRecord&)>& on_record) {
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

absl::Status DamagedAt(const std::string& name, size_t offset) {
  return absl::DataLossError(absl::StrCat(
      name, " is damaged at offset ", offset,
      ": restore the file from a copy, or move the directory away and submit the jobs anew"));
}

size_t FrameLength(std::string_view bytes) {
  return bytes.size() < kFrameHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic
             ? 0
             : kFrameHeaderBytes + ReadLittleEndian<uint32_t>(bytes, kMagic.size());
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
  MILLRACE_CHECK(payload.size() <= UINT32_MAX) << "journal frame of " << payload.size() << " bytes";
  const auto length = static_cast<uint32_t>(payload.size());
  const uint64_t hash = HashOf(payload);
  std::memcpy(out->data() + start + kMagic.size(), &length, sizeof(length));
  std::memcpy(out->data() + start + kHashOffset, &hash, sizeof(hash));
}

absl::StatusOr<SegmentEnd> ReadFrames(
    std::string_view bytes, const std::string& name,
    const std::function<absl::Status(const proto::JournalRecord&)>& on_record) {
  size_t offset = 0;
  size_t last_frame = 0;
  while (offset < bytes.size()) {
    const std::optional<std::string_view> payload = WholePayload(bytes.substr(offset));
    if (!payload.has_value()) {
      if (HasWholeFrame(bytes.substr(offset + 1))) {
        return DamagedAt(name, offset);
      }
      break;
    }
    RETURN_IF_ERROR(ReadRecords(*payload, absl::StrCat(name, " at offset ", offset), on_record));
    last_frame = offset;
    offset += kFrameHeaderBytes + payload->size();
  }
  return SegmentEnd{offset, bytes.size() - offset, last_frame};
}

}  // namespace millrace
