// generate_series on integers, numerics and timestamps.
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/families.h"
#include "common/expr/in_zone.h"
#include "common/types/calendar.h"

namespace millrace {
namespace {

// The largest series: a series is in memory as a whole. The limit is for each row's series, so that
// it does not depend on how rows are batched.
constexpr size_t kMostRows = 20'000'000;

absl::Status TooManyRows() {
  return absl::ResourceExhaustedError(absl::StrCat("generate_series returns more than ", kMostRows,
                                                   " rows: filter or enlarge the step"));
}
absl::Status ZeroStep() { return absl::InvalidArgumentError("step size cannot equal zero"); }

template <typename T>
absl::Status AppendSeries(T start, T stop, T step, size_t most, std::vector<T>* out) {
  if (step == 0) {
    return ZeroStep();
  }
  for (T value = start; step > 0 ? value <= stop : value >= stop;) {
    if (out->size() >= most) {
      return TooManyRows();
    }
    out->push_back(value);
    if (__builtin_add_overflow(value, step, &value)) {
      break;
    }
  }
  return absl::OkStatus();
}

absl::Status AppendSeries(const Numeric& start, const Numeric& stop, const Numeric& step,
                          size_t most, std::vector<NumericValue>* out) {
  if (!start.IsFinite() || !stop.IsFinite() || !step.IsFinite()) {
    return absl::InvalidArgumentError("start, stop and step of generate_series must be finite");
  }
  const int direction = step.Sign();
  if (direction == 0) {
    return ZeroStep();
  }
  NumericValue value = start;
  while (direction > 0 ? Numeric::Compare(value, stop) <= 0 : Numeric::Compare(value, stop) >= 0) {
    if (out->size() >= most) {
      return TooManyRows();
    }
    out->push_back(value);
    ASSIGN_OR_RETURN(value, Numeric::Add(value, step));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status AppendSeries(T start, T stop, const Interval& step, const TimeZone& zone, size_t most,
                          std::vector<T>* out) {
  __int128 direction = step.SortKey();
  if (direction == 0) {
    return ZeroStep();
  }
  if (!IsFiniteTimestamp(start.micros) || !IsFiniteTimestamp(stop.micros)) {
    return absl::InvalidArgumentError("start and stop of generate_series must be finite");
  }
  for (int64_t value = start.micros; direction > 0 ? value <= stop.micros : value >= stop.micros;) {
    if (out->size() >= most) {
      return TooManyRows();
    }
    out->push_back(T{value});
    ASSIGN_OR_RETURN(value, AddInterval(value, step, zone));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status AppendSeries(T start, T stop, const Interval& step, size_t most, std::vector<T>* out) {
  return AppendSeries(start, stop, step, TimeZone(), most, out);
}

// `T` is what is counted, `Step` its step; without a step argument it is `unit`.
template <typename T, typename Step>
void AddSeriesOf(FunctionList* list, std::vector<SqlType> arg_types, Step unit) {
  TableFunctionDef function;
  function.name = "generate_series";
  function.arg_types = std::move(arg_types);
  function.column_types = {SqlTypeOf<T>()};
  function.column_names = {"generate_series"};
  function.kernel = [unit](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                           std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    ArgReader<T> start(args[0]);
    ArgReader<T> stop(args[1]);
    // Values of a series of numerics own their digits.
    std::vector<std::conditional_t<std::is_same_v<T, Numeric>, NumericValue, T>> values;
    context.rows.ForEach([&](uint32_t row) {
      size_t begin = values.size();
      Step step = args.size() > 2 ? ArgReader<Step>(args[2])[row] : unit;
      absl::Status status = AppendSeries(start[row], stop[row], step, begin + kMostRows, &values);
      if (!status.ok()) {
        values.resize(begin);
        context.errors->Add(row, std::move(status));
      }
      parents->resize(values.size(), row);
    });
    auto column = std::make_shared<Column>(SqlTypeOf<T>(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      SqlValue<std::remove_cvref_t<decltype(values[i])>>::Store(values[i], column.get(), i);
    }
    out->push_back(std::move(column));
  };
  list->Add(std::move(function));
}

template <typename T>
void AddCounted(FunctionList* list, T unit) {
  SqlType type = SqlTypeOf<T>();
  AddSeriesOf<T, T>(list, {type, type}, unit);
  AddSeriesOf<T, T>(list, {type, type, type}, unit);
}

template <typename T>
void AddMoments(FunctionList* list) {
  SqlType type = SqlTypeOf<T>();
  AddSeriesOf<T, Interval>(list, {type, type, MakeType(TypeId::kInterval)}, Interval{});
}

// By the days of the script's time zone, which is the last argument.
void AddMomentsInZone(FunctionList* list) {
  TableFunctionDef function;
  function.name = absl::StrCat("generate_series", kInZone);
  const SqlType type = SqlTypeOf<TimestampTz>();
  function.arg_types = {type, type, MakeType(TypeId::kInterval), MakeType(TypeId::kText)};
  function.column_types = {type};
  function.column_names = {"generate_series"};
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    ArgReader<TimestampTz> start(args[0]);
    ArgReader<TimestampTz> stop(args[1]);
    ArgReader<Interval> step(args[2]);
    ArgReader<std::string_view> zone_name(args[3]);
    std::vector<TimestampTz> values;
    context.rows.ForEach([&](uint32_t row) {
      const size_t begin = values.size();
      const absl::StatusOr<const TimeZone*> zone = SessionZoneOf(zone_name[row]);
      absl::Status status = zone.ok() ? AppendSeries(start[row], stop[row], step[row], **zone,
                                                     begin + kMostRows, &values)
                                      : zone.status();
      if (!status.ok()) {
        values.resize(begin);
        context.errors->Add(row, std::move(status));
      }
      parents->resize(values.size(), row);
    });
    auto column = std::make_shared<Column>(SqlTypeOf<TimestampTz>(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      SqlValue<TimestampTz>::Store(values[i], column.get(), i);
    }
    out->push_back(std::move(column));
  };
  list->Add(std::move(function));
}

}  // namespace

void AddSeries(FunctionList* list) {
  AddCounted<int32_t>(list, 1);
  AddCounted<int64_t>(list, 1);
  AddCounted<Numeric>(list, Numeric::FromInt64(1));
  AddMoments<Timestamp>(list);
  AddMoments<TimestampTz>(list);
  AddMomentsInZone(list);
}

}  // namespace millrace
