// Text functions that make text of a given shape: lpad, rpad, repeat, reverse, overlay (of bytea
// too).
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

// The largest value: PostgreSQL's limit is a gigabyte, ours protects a batch of thousands of rows.
constexpr size_t kMaxTextBytes = size_t{64} << 20;

absl::Status TooLarge() { return absl::OutOfRangeError("requested length too large"); }

// `chars` characters of `fill`, over and over.
std::string Filling(std::string_view fill, size_t chars) {
  std::string out;
  size_t fill_chars = CountChars(fill);
  for (; chars >= fill_chars; chars -= fill_chars) {
    out.append(fill);
  }
  out.append(fill.substr(0, BytesOfChars(fill, chars)));
  return out;
}

absl::StatusOr<std::string> Pad(std::string_view text, int32_t length, std::string_view fill,
                                bool left) {
  auto wanted = static_cast<size_t>(std::max(length, 0));
  size_t have = CountChars(text);
  if (wanted <= have || fill.empty()) {
    return std::string(text.substr(0, BytesOfChars(text, wanted)));
  }
  if (wanted > kMaxTextBytes / 4) {
    return TooLarge();
  }
  std::string filling = Filling(fill, wanted - have);
  return left ? absl::StrCat(filling, ToAbsl(text)) : absl::StrCat(ToAbsl(text), filling);
}

absl::StatusOr<std::string> Repeat(std::string_view text, int32_t count) {
  auto times = static_cast<size_t>(std::max(count, 0));
  if (times > 0 && text.size() > kMaxTextBytes / times) {
    return TooLarge();
  }
  std::string out;
  out.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) {
    out.append(text);
  }
  return out;
}

std::string Reverse(std::string_view text) {
  std::string out(text.size(), '\0');
  size_t end = text.size();
  while (!text.empty()) {
    size_t bytes = FirstCharBytes(text);
    end -= bytes;
    text.copy(out.data() + end, bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

// What overlay leaves: the units before `head` and those from `tail` on, which may be smaller.
struct Kept {
  size_t head;
  size_t tail;
};

absl::StatusOr<Kept> KeptByOverlay(int32_t start, int32_t length) {
  if (start <= 0) {
    return absl::InvalidArgumentError("negative substring length not allowed");
  }
  int32_t tail = 0;
  if (__builtin_add_overflow(start, length, &tail)) {
    return absl::OutOfRangeError("integer out of range");
  }
  return Kept{.head = static_cast<size_t>(start - 1),
              .tail = static_cast<size_t>(std::max(tail, 1) - 1)};
}

absl::StatusOr<std::string> Overlay(std::string_view text, std::string_view with, int32_t start,
                                    int32_t length) {
  ASSIGN_OR_RETURN(const Kept kept, KeptByOverlay(start, length));
  return absl::StrCat(ToAbsl(text.substr(0, BytesOfChars(text, kept.head))), ToAbsl(with),
                      ToAbsl(text.substr(BytesOfChars(text, kept.tail))));
}

absl::StatusOr<ByteaString> OverlayBytes(std::string_view bytes, std::string_view with,
                                         int32_t start, int32_t length) {
  ASSIGN_OR_RETURN(const Kept kept, KeptByOverlay(start, length));
  return ByteaString{absl::StrCat(ToAbsl(bytes.substr(0, kept.head)), ToAbsl(with),
                                  ToAbsl(bytes.substr(std::min(kept.tail, bytes.size()))))};
}

}  // namespace

void AddTextPadding(FunctionList* list) {
  list->Add("lpad",
            [](std::string_view text, int32_t length) { return Pad(text, length, " ", true); });
  list->Add("rpad",
            [](std::string_view text, int32_t length) { return Pad(text, length, " ", false); });
  list->Add("lpad", [](std::string_view text, int32_t length, std::string_view fill) {
    return Pad(text, length, fill, true);
  });
  list->Add("rpad", [](std::string_view text, int32_t length, std::string_view fill) {
    return Pad(text, length, fill, false);
  });
  list->Add("repeat", [](std::string_view text, int32_t count) { return Repeat(text, count); });
  list->Add("reverse", [](std::string_view text) { return Reverse(text); });
  list->Add("overlay", [](std::string_view text, std::string_view with, int32_t start) {
    return Overlay(text, with, start, static_cast<int32_t>(CountChars(with)));
  });
  list->Add("overlay", [](std::string_view text, std::string_view with, int32_t start,
                          int32_t length) { return Overlay(text, with, start, length); });
  list->Add("overlay", [](ByteaView bytea, ByteaView with, int32_t start) {
    return OverlayBytes(bytea.bytes, with.bytes, start, static_cast<int32_t>(with.bytes.size()));
  });
  list->Add("overlay", [](ByteaView bytea, ByteaView with, int32_t start, int32_t length) {
    return OverlayBytes(bytea.bytes, with.bytes, start, length);
  });
}

}  // namespace millrace
