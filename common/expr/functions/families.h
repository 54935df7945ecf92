// The families of functions, one file each. Internal to all.cc.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_FAMILIES_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_FAMILIES_H_

#include "common/expr/functions/sql_value.h"

namespace millrace {

void AddArithmetic(FunctionList* list);
void AddComparisons(FunctionList* list);
void AddNumberCasts(FunctionList* list);
void AddTextCasts(FunctionList* list);
void AddMath(FunctionList* list);
void AddNumericMath(FunctionList* list);
void AddNumericPowers(FunctionList* list);
void AddDateTimeArithmetic(FunctionList* list);
void AddDateTimeFields(FunctionList* list);
void AddDateTimeZones(FunctionList* list);
void AddFormatting(FunctionList* list);
void AddText(FunctionList* list);
void AddTextPadding(FunctionList* list);
void AddTextEncoding(FunctionList* list);
void AddLike(FunctionList* list);
void AddRegex(FunctionList* list);
void AddSimilar(FunctionList* list);
void AddJsonb(FunctionList* list);
void AddArrays(FunctionList* list);
void AddSplitTables(FunctionList* list);
void AddSeries(FunctionList* list);
void AddJsonbTables(FunctionList* list);
void AddKafkaHeader(FunctionList* list);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_FAMILIES_H_
