#include "common/expr/functions/all.h"

#include "common/expr/functions/families.h"

namespace millrace {

absl::Status RegisterAllFunctions(FunctionRegistry* registry) {
  FunctionList list(registry);
  AddArithmetic(&list);
  AddComparisons(&list);
  AddNumberCasts(&list);
  AddTextCasts(&list);  // after the number casts: arrays are cast by their elements' casts
  AddMath(&list);
  AddNumericMath(&list);
  AddNumericPowers(&list);
  AddDateTimeArithmetic(&list);
  AddDateTimeFields(&list);
  AddDateTimeZones(&list);
  AddFormatting(&list);
  AddText(&list);
  AddTextPadding(&list);
  AddTextEncoding(&list);
  AddLike(&list);
  AddRegex(&list);
  AddSimilar(&list);
  AddJsonb(&list);
  AddArrays(&list);
  AddSplitTables(&list);
  AddSeries(&list);
  AddJsonbTables(&list);
  AddKafkaHeader(&list);
  return list.status();
}

}  // namespace millrace
