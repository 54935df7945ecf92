#include "common/types/jsonb_order.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/types/jsonb_scan.h"

namespace millrace {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int Sign(int order) { return order < 0 ? -1 : (order > 0 ? 1 : 0); }

int CompareSizes(size_t a, size_t b) { return a < b ? -1 : (a > b ? 1 : 0); }

// The next decimal point of a number at or behind `at`, ignoring points in strings; npos if there
// is none.
size_t NextPoint(std::string_view json, size_t at) {
  for (; at < json.size(); ++at) {
    if (json[at] == '.') {
      return at;
    }
    if (json[at] == '"') {
      at = EndOfJsonb(json, at) - 1;
    }
  }
  return std::string_view::npos;
}

// A number's parts as written, without zeros at the end of the fraction.
struct Decimal {
  bool negative = false;
  std::string_view whole;
  std::string_view fraction;
};

Decimal SplitNumber(std::string_view number) {
  Decimal decimal;
  if (number.starts_with("-")) {
    decimal.negative = true;
    number.remove_prefix(1);
  }
  const size_t point = number.find('.');
  decimal.whole = number.substr(0, point);
  if (point != std::string_view::npos) {
    decimal.fraction = number.substr(point + 1);
    decimal.fraction = decimal.fraction.substr(0, decimal.fraction.find_last_not_of('0') + 1);
  }
  return decimal;
}

// Canonical numbers have no zeros in front, and zero has no sign.
int CompareNumbers(std::string_view a, std::string_view b) {
  const Decimal left = SplitNumber(a);
  const Decimal right = SplitNumber(b);
  if (left.negative != right.negative) {
    return left.negative ? -1 : 1;
  }
  int order = CompareSizes(left.whole.size(), right.whole.size());
  if (order == 0) {
    order = left.whole.compare(right.whole);
  }
  if (order == 0) {
    order = left.fraction.compare(right.fraction);
  }
  return left.negative ? -Sign(order) : Sign(order);
}

int CompareStrings(std::string_view a, std::string_view b) {
  std::string a_storage;
  std::string b_storage;
  return Sign(JsonbToText(a, &a_storage).compare(JsonbToText(b, &b_storage)));
}

// The rank of a kind among others.
int RankOf(JsonbKind kind) {
  switch (kind) {
    case JsonbKind::kNull:
      return 0;
    case JsonbKind::kString:
      return 1;
    case JsonbKind::kNumber:
      return 2;
    case JsonbKind::kBoolean:
      return 3;
    case JsonbKind::kArray:
      return 4;
    case JsonbKind::kObject:
      break;
  }
  return 5;
}

int CompareParts(std::string_view a, std::string_view b, int depth);

int CompareArrays(std::string_view a, std::string_view b, int depth) {
  std::vector<std::string_view> elements;
  ForEachElement(a, [&](std::string_view element) {
    elements.push_back(element);
    return true;
  });
  int order = CompareSizes(elements.size(), CountElements(b));
  size_t next = 0;
  if (order == 0) {
    ForEachElement(b, [&](std::string_view element) {
      order = CompareParts(elements[next++], element, depth + 1);
      return order == 0;
    });
  }
  return order;
}

int CompareObjects(std::string_view a, std::string_view b, int depth) {
  using Member = std::pair<std::string_view, std::string_view>;
  const auto members_of = [](std::string_view object) {
    std::vector<Member> members;
    ForEachMember(object, [&](std::string_view key, std::string_view value) {
      members.emplace_back(key, value);
      return true;
    });
    return members;
  };
  const std::vector<Member> left = members_of(a);
  const std::vector<Member> right = members_of(b);
  int order = CompareSizes(left.size(), right.size());
  for (size_t i = 0; order == 0 && i < left.size(); ++i) {
    order = CompareStrings(left[i].first, right[i].first);
    if (order == 0) {
      order = CompareParts(left[i].second, right[i].second, depth + 1);
    }
  }
  return order;
}

// Compares elements of arrays and objects, or whole values: by kind, then by contents.
int CompareParts(std::string_view a, std::string_view b, int depth) {
  if (depth > kMaxJsonbDepth) {
    return Sign(a.compare(b));
  }
  const JsonbKind kind = KindOf(a);
  if (const JsonbKind other = KindOf(b); kind != other) {
    return RankOf(kind) < RankOf(other) ? -1 : 1;
  }
  switch (kind) {
    case JsonbKind::kNull:
      return 0;
    case JsonbKind::kString:
      return CompareStrings(a, b);
    case JsonbKind::kNumber:
      return CompareNumbers(a, b);
    case JsonbKind::kBoolean:
      return Sign(a.compare(b));  // false, true
    case JsonbKind::kArray:
      return CompareArrays(a, b, depth);
    case JsonbKind::kObject:
      break;
  }
  return CompareObjects(a, b, depth);
}

}  // namespace

std::string_view JsonbKey(std::string_view json, std::string* storage) {
  bool changed = false;
  size_t copied = 0;
  for (size_t point = NextPoint(json, 0); point != std::string_view::npos;) {
    size_t end = point + 1;
    while (end < json.size() && IsDigit(json[end])) {
      ++end;
    }
    size_t kept = end;
    while (json[kept - 1] == '0') {
      --kept;
    }
    kept -= kept == point + 1 ? 1 : 0;
    if (kept != end) {
      if (!changed) {
        storage->clear();
        changed = true;
      }
      storage->append(json.substr(copied, kept - copied));
      copied = end;
    }
    point = NextPoint(json, end);
  }
  if (!changed) {
    return json;
  }
  storage->append(json.substr(copied));
  return *storage;
}

bool JsonbEqual(std::string_view a, std::string_view b) {
  if (a == b) {
    return true;
  }
  std::string a_storage;
  std::string b_storage;
  return JsonbKey(a, &a_storage) == JsonbKey(b, &b_storage);
}

int CompareJsonb(std::string_view a, std::string_view b) {
  // PostgreSQL stores a lone scalar as an array of one element, which is longer than [].
  const auto scalar = [](std::string_view json) {
    return KindOf(json) != JsonbKind::kArray && KindOf(json) != JsonbKind::kObject;
  };
  if ((a == "[]" && scalar(b)) || (scalar(a) && b == "[]")) {
    return a == "[]" ? -1 : 1;
  }
  return CompareParts(a, b, 0);
}

}  // namespace millrace
