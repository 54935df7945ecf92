// Words about values of any length, cut to what a person reads: messages go to terminals, into the
// journal, through headers of RPCs and into dead-letter tables, none of which should carry a record
// again. Pure functions.
#ifndef MILLRACE_COMMON_BASE_EXCERPT_H_
#define MILLRACE_COMMON_BASE_EXCERPT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace millrace {

// No message that leaves the place where it arose is longer than this.
inline constexpr size_t kMaxMessageBytes = 2048;

// `text` itself, or its beginning and its end with the number of bytes left out between them; in
// all at most `max_bytes`, never cut within a character of UTF-8. REQUIRES: max_bytes ≥ 64.
std::string Excerpt(std::string_view text, size_t max_bytes = kMaxMessageBytes);

// The same status, its message an Excerpt. Costs nothing for one that is short enough.
absl::Status WithExcerpt(absl::Status status);

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_EXCERPT_H_
