#include "common/base/excerpt.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace millrace {
std::string Excerpt(std::string_view text, size_t max_bytes) {
  constexpr size_t kRoomForCount = 40;
  if (!IsUtf8(text)) {
    return Excerpt(EscapeInvalidUtf8(text), max_bytes);
  }
  if (text.size() <= max_bytes) {
    return std::string(text);
  }
  // Keeps both ends: the beginning of a message says what is wrong, the end often says where.
  const size_t shown = max_bytes - kRoomForCount;
  size_t head = shown - shown / 3;
  size_t tail = text.size() - shown / 3;
  while (head > 0 && IsContinuationByte(text[head])) {
    --head;
  }
  while (tail < text.size() && IsContinuationByte(text[tail])) {
    ++tail;
  }
  return absl::StrCat(ToAbsl(text.substr(0, head)), "… (", tail - head, " bytes left out) …",
                      ToAbsl(text.substr(tail)));
}

// Callers put the place of the error in front of the message. The excerpt leaves room for that, so
// that the message is not cut twice and states the number of omitted bytes correctly.
absl::Status WithExcerpt(absl::Status status) {
  constexpr size_t kRoomForPlace = 512;
  constexpr size_t kMaxBytes = kMaxMessageBytes - kRoomForPlace;
  if (status.message().size() <= kMaxBytes && IsUtf8(ToStd(status.message()))) {
    return status;
  }
  return absl::Status(status.code(), Excerpt(ToStd(status.message()), kMaxBytes));
}

}  // namespace millrace
