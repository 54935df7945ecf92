// Finds which of several functions or operators of one name a call means, by PostgreSQL's rules
// (chapter "Type Conversion", parse_func.c: func_get_detail, func_select_candidate). Pure.
#ifndef MILLRACE_PLAN_LOGICAL_OVERLOAD_RESOLUTION_H_
#define MILLRACE_PLAN_LOGICAL_OVERLOAD_RESOLUTION_H_

#include <cstddef>
#include <vector>

#include "common/types/sql_type.h"

namespace millrace::plan {

// Parameter types of one overload. kUnknown takes any type, kArray of kUnknown any array.
struct Signature {
  std::vector<SqlType> parameters;
  bool variadic = false;  // the last parameter may repeat
};

struct OverloadResolution {
  enum class Outcome { kFound, kNone, kAmbiguous };
  Outcome outcome = Outcome::kNone;
  size_t index = 0;                // index of the chosen candidate
  std::vector<SqlType> arguments;  // what each argument has to be converted to
};

// `arguments` are the actual types; kUnknown for untyped literals.
OverloadResolution ResolveOverload(const std::vector<Signature>& candidates,
                                   const std::vector<SqlType>& arguments);

// The same for a binary operator; an untyped literal first tries the type of the other side.
OverloadResolution ResolveOperator(const std::vector<Signature>& candidates,
                                   const std::vector<SqlType>& arguments);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_OVERLOAD_RESOLUTION_H_
