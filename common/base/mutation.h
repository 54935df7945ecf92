// Deliberate faults for the mutation check (.ci/mutations.sh): a build with --define=mutation=NAME
// lacks one of the things that exactly-once rests on, and tests must turn red. All other builds
// compile the condition away. A new one is a line below, one in build/copts.bzl, and one in
// the check, which names the tests that must notice it.
#ifndef MILLRACE_COMMON_BASE_MUTATION_H_
#define MILLRACE_COMMON_BASE_MUTATION_H_

#include <string_view>

#ifndef MILLRACE_MUTATION
#define MILLRACE_MUTATION ""
#endif

namespace millrace {

// What a build may lack:
//   fencing       sinks give each producer a name of its own, and ignore higher epochs
//   marker        sinks ignore the marker that they find, and believe only the journal
//   fsync_order   the journal acknowledges before it syncs
//   split_order   rows for order-sensitive aggregates are applied as they arrive
constexpr bool IsMutation(std::string_view name) {
  return std::string_view(MILLRACE_MUTATION) == name;
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_MUTATION_H_
