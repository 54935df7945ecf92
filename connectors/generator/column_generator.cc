#include "connectors/generator/column_generator.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/numeric.h"
#include "common/types/text_format.h"

namespace millrace::generator {
namespace {

constexpr int64_t kMicrosPerSecond = 1000000;
constexpr int64_t kYear2000Days = 10957;

// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
uint64_t Mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9ULL;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

// A number in [0, bound) from a random word, without a division.
uint64_t Scale(uint64_t random, uint64_t bound) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(random) * bound) >> 64);
}

// A pronounceable word for a number: consonants and vowels in turn, at least four letters;
// different numbers differ.
void AppendWord(uint64_t number, std::string* out) {
  static constexpr char kConsonants[] = "bcdfghjklmnprstvz";
  static constexpr char kVowels[] = "aeiou";
  size_t begin = out->size();
  do {
    out->push_back(kConsonants[number % 17]);
    number /= 17;
    out->push_back(kVowels[number % 5]);
    number /= 5;
  } while (number > 0 || out->size() < begin + 4);
}

bool HoldsWholeNumbers(TypeId type) {
  return type == TypeId::kInt16 || type == TypeId::kInt32 || type == TypeId::kInt64 ||
         type == TypeId::kNumeric || type == TypeId::kDate || type == TypeId::kTimestamp ||
         type == TypeId::kTimestampTz;
}

std::pair<int64_t, int64_t> DefaultBounds(TypeId type, bool sequence) {
  switch (type) {
    case TypeId::kInt16:
      return {0, sequence ? std::numeric_limits<int16_t>::max() : 9999};
    case TypeId::kInt32:
      return {0, sequence ? std::numeric_limits<int32_t>::max() : 999999};
    case TypeId::kDate:
      return {kYear2000Days, kYear2000Days + 365};
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz:
      return {kYear2000Days * 86400 * kMicrosPerSecond,
              (kYear2000Days + 365) * 86400 * kMicrosPerSecond};
    default:
      return {0, sequence ? std::numeric_limits<int64_t>::max() : 999999};
  }
}

// The number behind a bound that is written in the column's type.
absl::StatusOr<int64_t> Bound(const OptionMap& options, const std::string& option,
                              const SqlType& type, int64_t fallback) {
  auto found = options.find(option);
  if (found == options.end()) {
    return fallback;
  }
  SqlType parsed = type.id == TypeId::kNumeric ? MakeType(TypeId::kInt64) : type;
  Column column(parsed, 1);
  if (absl::Status status = ParseValue(found->second, &column, 0); !status.ok()) {
    return Annotate(status, absl::StrCat("option ", option));
  }
  switch (parsed.id) {
    case TypeId::kInt16:
      return column.value<int16_t>(0);
    case TypeId::kInt32:
    case TypeId::kDate:
      return column.value<int32_t>(0);
    default:
      return column.value<int64_t>(0);
  }
}

}  // namespace

absl::StatusOr<ColumnGenerator> ColumnGenerator::Create(const OptionMap& options,
                                                        const std::string& name,
                                                        const SqlType& type, uint64_t seed,
                                                        uint32_t column_number) {
  ColumnGenerator out;
  out.type_ = type;
  out.seed_ = Mix(seed + 0x9E3779B97F4A7C15ULL * (column_number + 1));
  bool whole = HoldsWholeNumbers(type.id);
  if (!whole && !type.IsFloat() && type.id != TypeId::kBool && type.id != TypeId::kText) {
    return absl::InvalidArgumentError(
        absl::StrCat("column ", name, ": the generator makes no ", type.ToString(),
                     "; it makes boolean, numbers, text, date and timestamps"));
  }
  ASSIGN_OR_RETURN(std::string kind,
                   ChoiceOption(options, "kind." + name, whole ? "sequence" : "random",
                                {"sequence", "random", "words"}));
  out.kind_ = kind == "sequence" ? Kind::kSequence
              : kind == "random" ? Kind::kRandom
                                 : Kind::kWords;
  if (out.kind_ == Kind::kWords && type.id != TypeId::kText) {
    return absl::InvalidArgumentError(absl::StrCat("option kind.", name, " = 'words': column ",
                                                   name, " is ", type.ToString(),
                                                   "; words are text"));
  }
  if (out.kind_ == Kind::kSequence && type.id == TypeId::kBool) {
    return absl::InvalidArgumentError(absl::StrCat("option kind.", name, " = 'sequence': column ",
                                                   name, " is boolean; allowed is random"));
  }
  RETURN_IF_ERROR(out.ReadBounds(options, name));
  return out;
}

absl::Status ColumnGenerator::ReadBounds(const OptionMap& options, const std::string& name) {
  ASSIGN_OR_RETURN(cardinality_, IntOption(options, "cardinality." + name,
                                           kind_ == Kind::kWords ? 10000 : 0, 1, int64_t{1} << 40));
  ASSIGN_OR_RETURN(length_,
                   IntOption(options, "length." + name, kind_ == Kind::kWords ? 12 : 8, 1, 100000));
  if (type_.IsFloat()) {
    ASSIGN_OR_RETURN(min_real_, DoubleOption(options, "min." + name, 0, -1e300, 1e300));
    ASSIGN_OR_RETURN(max_real_, DoubleOption(options, "max." + name, std::max(min_real_ + 1, 1.0),
                                             min_real_, 1e300));
    return absl::OkStatus();
  }
  bool is_time = type_.id == TypeId::kTimestamp || type_.id == TypeId::kTimestampTz;
  ASSIGN_OR_RETURN(step_, IntOption(options, "step." + name, is_time ? kMicrosPerSecond : 1, 1,
                                    int64_t{1} << 50));
  SqlType bounds_type = HoldsWholeNumbers(type_.id) ? type_ : MakeType(TypeId::kInt64);
  auto [low, high] = DefaultBounds(bounds_type.id, kind_ == Kind::kSequence);
  ASSIGN_OR_RETURN(min_, Bound(options, "min." + name, bounds_type, low));
  ASSIGN_OR_RETURN(max_, Bound(options, "max." + name, bounds_type, std::max(high, min_)));
  if (max_ < min_) {
    return absl::InvalidArgumentError(absl::StrCat("option max.", name, " is below min.", name));
  }
  if (HoldsWholeNumbers(type_.id) && cardinality_ > 0) {
    max_ = std::min(max_, min_ + cardinality_ - 1);
  }
  return absl::OkStatus();
}

uint64_t ColumnGenerator::Random(const GeneratedRange& range, size_t row) const {
  uint64_t offset = static_cast<uint64_t>(range.begin) + row;
  return Mix(seed_ ^ Mix(offset + (static_cast<uint64_t>(range.partition) << 48) + 1));
}

int64_t ColumnGenerator::WholeNumber(const GeneratedRange& range, size_t row) const {
  // Unsigned, since the difference may not fit an int64, and the number of values may be 2^64.
  uint64_t last = static_cast<uint64_t>(max_) - static_cast<uint64_t>(min_);
  if (kind_ == Kind::kSequence) {
    // Partitions take turns, so that the numbers are dense over all of them.
    uint64_t number =
        (static_cast<uint64_t>(range.begin) + row) * static_cast<uint64_t>(range.partitions) +
        static_cast<uint64_t>(range.partition);
    bool bounded = type_.id != TypeId::kDate && type_.id != TypeId::kTimestamp &&
                   type_.id != TypeId::kTimestampTz;
    number *= static_cast<uint64_t>(step_);
    number = bounded && last != UINT64_MAX ? number % (last + 1) : number;
    return static_cast<int64_t>(static_cast<uint64_t>(min_) + number);
  }
  uint64_t random = Random(range, row);
  return static_cast<int64_t>(static_cast<uint64_t>(min_) +
                              (last == UINT64_MAX ? random : Scale(random, last + 1)));
}

std::string ColumnGenerator::Text(const GeneratedRange& range, size_t row) const {
  if (kind_ == Kind::kSequence) {
    return absl::StrCat(WholeNumber(range, row));
  }
  std::string text;
  uint64_t random = Random(range, row);
  if (kind_ == Kind::kWords) {
    for (int64_t i = 0; i < length_; ++i) {
      if (i > 0) {
        text.push_back(' ');
      }
      random = Mix(random + 0x9E3779B97F4A7C15ULL);
      AppendWord(Scale(random, static_cast<uint64_t>(cardinality_)), &text);
    }
    return text;
  }
  if (cardinality_ > 0) {
    random = Mix(Scale(random, static_cast<uint64_t>(cardinality_)) + seed_);
  }
  for (int64_t i = 0; i < length_; ++i) {
    random = Mix(random + 0x9E3779B97F4A7C15ULL);
    text.push_back(static_cast<char>('a' + Scale(random, 26)));
  }
  return text;
}

ColumnPtr ColumnGenerator::Generate(const GeneratedRange& range) const {
  auto column = std::make_shared<Column>(type_, range.count);
  for (size_t row = 0; row < range.count; ++row) {
    switch (type_.id) {
      case TypeId::kBool:
        column->mutable_values<uint8_t>()[row] = Random(range, row) >> 63;
        break;
      case TypeId::kInt16:
        column->mutable_values<int16_t>()[row] = static_cast<int16_t>(WholeNumber(range, row));
        break;
      case TypeId::kInt32:
      case TypeId::kDate:
        column->mutable_values<int32_t>()[row] = static_cast<int32_t>(WholeNumber(range, row));
        break;
      case TypeId::kFloat32:
      case TypeId::kFloat64: {
        double unit = static_cast<double>(Random(range, row) >> 11) * 0x1p-53;  // [0, 1)
        double value =
            kind_ == Kind::kSequence
                ? min_real_ + static_cast<double>(range.begin + static_cast<int64_t>(row))
                : min_real_ + unit * (max_real_ - min_real_);
        if (type_.id == TypeId::kFloat32) {
          column->mutable_values<float>()[row] = static_cast<float>(value);
        } else {
          column->mutable_values<double>()[row] = value;
        }
        break;
      }
      case TypeId::kNumeric:
        column->mutable_values<Numeric>()[row] = Numeric::FromInt64(WholeNumber(range, row));
        break;
      case TypeId::kText:
        column->SetTextCopy(row, Text(range, row));
        break;
      default:
        column->mutable_values<int64_t>()[row] = WholeNumber(range, row);
    }
  }
  return column;
}

}  // namespace millrace::generator
