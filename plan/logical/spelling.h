// "Did you mean": finds the known name that is nearest to an unknown one. Pure.
#ifndef MILLRACE_PLAN_LOGICAL_SPELLING_H_
#define MILLRACE_PLAN_LOGICAL_SPELLING_H_

#include <string>
#include <string_view>
#include <vector>

namespace millrace::plan {

// `; did you mean "word"?` if a known name differs in at most a third of its letters (but one is
// always allowed), else nothing.
std::string DidYouMean(std::string_view wrong, const std::vector<std::string>& known);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_SPELLING_H_
