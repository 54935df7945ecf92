#include "tests/fuzz/format_target.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/excerpt.h"
#include "common/types/text_format.h"
#include "connectors/testing/table_testing.h"

namespace millrace {
namespace {

constexpr size_t kRecords = 3;
constexpr size_t kMiddle = 1;

// Exactly as large as it is, so that a sanitizer sees a read beyond the end.
std::unique_ptr<char[]> Copy(std::string_view text) {
  auto copy = std::make_unique<char[]>(std::max<size_t>(text.size(), 1));
  std::copy(text.begin(), text.end(), copy.get());
  return copy;
}

}  // namespace

proto::Source TableOfAllTypes(const std::string& format) {
  proto::Source table = Table({{"b", proto::TYPE_BOOL},
                               {"i", proto::TYPE_INT32},
                               {"l", proto::TYPE_INT64},
                               {"d", proto::TYPE_FLOAT64},
                               {"n", proto::TYPE_NUMERIC},
                               {"t", proto::TYPE_TEXT},
                               {"y", proto::TYPE_BYTEA},
                               {"a", proto::TYPE_DATE},
                               {"z", proto::TYPE_TIMESTAMPTZ},
                               {"v", proto::TYPE_INTERVAL},
                               {"j", proto::TYPE_JSONB}});
  table.set_format(format);
  return table;
}

void DecodeBetween(const Format& format, const proto::Source& table, std::string_view good,
                   std::string_view bytes) {
  auto decoder = format.CreateDecoder(table);
  MILLRACE_CHECK(decoder.ok()) << decoder.status();
  std::vector<std::unique_ptr<char[]>> memory;
  std::vector<std::string_view> values;
  const std::vector<std::string_view> keys(kRecords);
  for (size_t i = 0; i < kRecords; ++i) {
    const std::string_view text = i == kMiddle ? bytes : good;
    memory.push_back(Copy(text));
    values.emplace_back(memory.back().get(), text.size());
  }
  RowErrors errors;
  const auto columns = (*decoder)->Decode(
      {.values = values.data(), .keys = keys.data(), .count = kRecords, .owner = nullptr}, &errors);
  MILLRACE_CHECK(columns.ok()) << columns.status();
  bool failed = false;
  for (const RowError& error : errors.errors()) {
    MILLRACE_CHECK(error.row == kMiddle) << "a good record failed: " << error.status;
    MILLRACE_CHECK(error.status.message().size() <= kMaxMessageBytes) << "a long message";
    failed = true;
  }
  for (const ColumnPtr& column : *columns) {
    MILLRACE_CHECK(ValueToString(*column, 0) == ValueToString(*column, 2))
        << "a record was read as its neighbour";
    MILLRACE_CHECK(!column->IsNull(0)) << "a good record was not read";
    if (!failed) {
      ValueToString(*column, kMiddle);
    }
  }
}

}  // namespace millrace
