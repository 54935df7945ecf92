#include "plan/logical/spelling.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace millrace::plan {
namespace {

// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`, letter case ignored.
size_t EditDistance(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) {
    return absl::ascii_tolower(static_cast<unsigned char>(x)) ==
           absl::ascii_tolower(static_cast<unsigned char>(y));
  };
  std::vector<size_t> before;
  std::vector<size_t> previous(b.size() + 1);
  std::iota(previous.begin(), previous.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    std::vector<size_t> current(b.size() + 1, i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = previous[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    before = std::move(previous);
    previous = std::move(current);
  }
  return previous.back();
}

}  // namespace

std::string DidYouMean(std::string_view wrong, const std::vector<std::string>& known) {
  if (wrong.size() < 2) {
    return "";  // too short: every other short name would be near
  }
  size_t best = std::max<size_t>(1, wrong.size() / 3) + 1;
  const std::string* nearest = nullptr;
  for (const std::string& name : known) {
    if (const size_t distance = EditDistance(wrong, name); distance < best) {
      best = distance;
      nearest = &name;
    }
  }
  return nearest == nullptr ? "" : absl::StrCat("; did you mean \"", *nearest, "\"?");
}

}  // namespace millrace::plan
