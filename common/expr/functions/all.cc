#include "common/expr/functions/all.h"

#include "common/expr/functions/families.h"

namespace millrace {

absl::Status RegisterAllFunctions(FunctionRegistry* registry) {
  FunctionList list(registry);
  AddArithmetic(&list);
  AddComparisons(&list);
  AddNumberCasts(&list);
  AddTextCasts(&list);  // after the number casts: arrays are cast by their elements' casts
  return list.status();
}

}  // namespace millrace
