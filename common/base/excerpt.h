// Makes messages about values of any length and any bytes fit to be read and passed on: they go to
// terminals, into the journal, through RPC and into dead-letter tables. None of these should carry
// a whole record again, and a protocol buffer with a text that is not UTF-8 is refused by whoever
// gets it, again each time that it is sent. Pure functions.
#ifndef MILLRACE_COMMON_BASE_EXCERPT_H_
#define MILLRACE_COMMON_BASE_EXCERPT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace millrace {

// No message that is passed on is longer than this.
inline constexpr size_t kMaxMessageBytes = 2048;

// `text` itself if it is short enough, else its beginning and its end with the number of omitted
// bytes between them: at most `max_bytes` in all, and never cut within a UTF-8 character. Bytes
// that are not UTF-8 become \xNN. REQUIRES: max_bytes ≥ 64.
std::string Excerpt(std::string_view text, size_t max_bytes = kMaxMessageBytes);

// The same status with an Excerpt as its message. Costs a look at the message if that may stay.
absl::Status WithExcerpt(absl::Status status);

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_EXCERPT_H_
