// "Did you mean": the nearest of known names to one that does not exist. Pure.
#ifndef MILLRACE_DRIVER_SQL_LOGICAL_SPELLING_H_
#define MILLRACE_DRIVER_SQL_LOGICAL_SPELLING_H_

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// `; did you mean "word"?` for a name at most a third of its letters (one at least) away, else
// nothing.
std::string DidYouMean(std::string_view wrong, const std::vector<std::string>& known);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_SQL_LOGICAL_SPELLING_H_
