#include "common/expr/functions/constant_checks.h"

#include <array>

#include "common/base/status.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/datetime_units.h"
#include "common/expr/functions/formatting.h"
#include "common/expr/functions/sql_value.h"
#include "common/expr/functions/text_encoding.h"

namespace millrace {
namespace {

// One argument of a call: its value, which is not NULL, and the types of all arguments. `others`:
// the values of all arguments, null where they are no constants.
struct ConstantArgument {
  const Column& value;
  const SqlType& type;
  const std::vector<SqlType>& types;
  const std::vector<const Column*>& others;

  std::string_view text() const { return value.value<TextView>(0).view(); }
};

using Check = absl::Status (*)(const ConstantArgument& argument);

bool IsZero(const ConstantArgument& argument) {
  switch (argument.type.id) {
    case TypeId::kInt16:
      return argument.value.value<int16_t>(0) == 0;
    case TypeId::kInt32:
      return argument.value.value<int32_t>(0) == 0;
    case TypeId::kInt64:
      return argument.value.value<int64_t>(0) == 0;
    case TypeId::kFloat32:
      return argument.value.value<float>(0) == 0;
    case TypeId::kFloat64:
      return argument.value.value<double>(0) == 0;
    case TypeId::kNumeric:
      return Numeric::Compare(argument.value.value<Numeric>(0), Numeric{}) == 0;
    case TypeId::kInterval:
      return argument.value.value<Interval>(0).SortKey() == 0;
    default:
      return false;
  }
}

// NaN divided by zero is NaN, for the types that have it.
absl::Status CheckDivisor(const ConstantArgument& argument) {
  const bool has_nan = argument.types[0].IsFloat() || argument.types[0].id == TypeId::kNumeric;
  return IsZero(argument) && !has_nan ? absl::InvalidArgumentError("division by zero")
                                      : absl::OkStatus();
}

absl::Status CheckSeriesStep(const ConstantArgument& argument) {
  return IsZero(argument) ? absl::InvalidArgumentError("step size cannot equal zero")
                          : absl::OkStatus();
}

absl::Status CheckZone(const ConstantArgument& argument) {
  if (argument.type.id == TypeId::kInterval) {
    return ZoneOfInterval(argument.value.value<Interval>(0)).status();
  }
  return argument.type.id == TypeId::kText ? ZoneOf(argument.text()).status() : absl::OkStatus();
}

absl::Status CheckExtractUnit(const ConstantArgument& argument) {
  return CheckExtract(argument.text(), argument.types[1]);
}

// A date counts as the timestamp at its beginning.
absl::Status CheckDatePartUnit(const ConstantArgument& argument) {
  const SqlType& type = argument.types[1];
  return CheckExtract(argument.text(),
                      type.id == TypeId::kDate ? MakeType(TypeId::kTimestamp) : type);
}

absl::Status CheckTruncateUnit(const ConstantArgument& argument) {
  return CheckTruncate(argument.text(), argument.types[1]);
}

absl::Status CheckBinStride(const ConstantArgument& argument) {
  return CheckStride(argument.value.value<Interval>(0));
}

absl::Status CheckFieldPosition(const ConstantArgument& argument) {
  return IsZero(argument) ? absl::InvalidArgumentError("field position must not be zero")
                          : absl::OkStatus();
}

absl::Status CheckEncodingName(const ConstantArgument& argument) {
  return CheckBinaryEncoding(argument.text());
}

absl::Status CheckBucketCount(const ConstantArgument& argument) {
  return argument.value.value<int32_t>(0) > 0
             ? absl::OkStatus()
             : absl::InvalidArgumentError("count must be greater than zero");
}

bool IsSame(const Column& a, const Column& b, TypeId type) {
  return type == TypeId::kNumeric ? Numeric::Compare(a.value<Numeric>(0), b.value<Numeric>(0)) == 0
                                  : a.value<double>(0) == b.value<double>(0);
}

// Checks the upper bound of width_bucket's range; the lower bound is the argument before it.
absl::Status CheckBucketRange(const ConstantArgument& argument) {
  const Column* const lower = argument.others[1];
  const bool same =
      lower != nullptr && !lower->IsNull(0) && IsSame(*lower, argument.value, argument.type.id);
  return same ? absl::InvalidArgumentError("lower bound cannot equal upper bound")
              : absl::OkStatus();
}

absl::Status CheckOverlayStart(const ConstantArgument& argument) {
  return argument.value.value<int32_t>(0) > 0
             ? absl::OkStatus()
             : absl::InvalidArgumentError("negative substring length not allowed");
}

absl::Status CheckLength(const ConstantArgument& argument) {
  return argument.type.id != TypeId::kInt32 || argument.value.value<int32_t>(0) >= 0
             ? absl::OkStatus()
             : absl::InvalidArgumentError("negative substring length not allowed");
}

absl::Status CheckToChar(const ConstantArgument& argument) {
  return CheckWritePattern(argument.text(), argument.types[0]);
}

absl::Status CheckToTime(const ConstantArgument& argument) {
  return argument.type.id == TypeId::kText ? CheckReadTimePattern(argument.text())
                                           : absl::OkStatus();
}

absl::Status CheckToNumber(const ConstantArgument& argument) {
  return CheckReadNumberPattern(argument.text());
}

struct Row {
  std::string_view function;
  size_t argument;
  Check check;
};

constexpr std::array kChecks = {
    Row{"/", 1, CheckDivisor},
    Row{"%", 1, CheckDivisor},
    Row{"mod", 1, CheckDivisor},
    Row{"div", 1, CheckDivisor},
    Row{"date_bin", 0, CheckBinStride},
    Row{"date_part", 0, CheckDatePartUnit},
    Row{"date_part in zone", 0, CheckExtractUnit},
    Row{"date_trunc", 0, CheckTruncateUnit},
    Row{"date_trunc", 2, CheckZone},
    Row{"date_trunc in zone", 0, CheckTruncateUnit},
    Row{"decode", 1, CheckEncodingName},
    Row{"encode", 1, CheckEncodingName},
    Row{"extract", 0, CheckExtractUnit},
    Row{"extract in zone", 0, CheckExtractUnit},
    Row{"generate_series", 2, CheckSeriesStep},
    Row{"generate_series in zone", 2, CheckSeriesStep},
    Row{"overlay", 2, CheckOverlayStart},
    Row{"split_part", 2, CheckFieldPosition},
    Row{"substr", 2, CheckLength},
    Row{"substring", 2, CheckLength},
    Row{"timezone", 0, CheckZone},
    Row{"to_char", 1, CheckToChar},
    Row{"to_char in zone", 1, CheckToChar},
    Row{"to_date", 1, CheckToTime},
    Row{"to_number", 1, CheckToNumber},
    Row{"to_timestamp", 1, CheckToTime},
    Row{"to_timestamp in zone", 1, CheckToTime},
    Row{"width_bucket", 2, CheckBucketRange},
    Row{"width_bucket", 3, CheckBucketCount},
};

}  // namespace

absl::Status CheckConstantArguments(std::string_view function, const std::vector<SqlType>& types,
                                    const std::vector<const Column*>& constants, bool conditional) {
  for (const Row& row : kChecks) {
    if (row.function != function || row.argument >= constants.size() ||
        (conditional && types[row.argument].id != TypeId::kText)) {
      continue;
    }
    const Column* constant = constants[row.argument];
    if (constant != nullptr && !constant->IsNull(0)) {
      RETURN_IF_ERROR(row.check({*constant, types[row.argument], types, constants}));
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace
