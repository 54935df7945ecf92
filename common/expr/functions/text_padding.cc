// Text functions that make text of a given shape: lpad, rpad, repeat, reverse, overlay.
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

absl::StatusOr<std::string> Overlay(std::string_view text, std::string_view with, int32_t start,
                                    int32_t length) {
  if (start <= 0) {
    return absl::InvalidArgumentError("negative substring length not allowed");
  }
  size_t head = BytesOfChars(text, static_cast<size_t>(start - 1));
  int64_t tail_chars = std::max<int64_t>(int64_t{start} - 1 + length, 0);
  size_t tail = BytesOfChars(text, static_cast<size_t>(tail_chars));
  return absl::StrCat(ToAbsl(text.substr(0, head)), ToAbsl(with), ToAbsl(text.substr(tail)));
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
}

}  // namespace millrace
