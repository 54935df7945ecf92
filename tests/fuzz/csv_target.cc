// Records in format csv.
#include "connectors/formats/csv/csv_format.h"
#include "tests/fuzz/format_target.h"
#include "tests/fuzz/targets.h"

namespace millrace {
namespace {

constexpr char kGood[] =
    R"(true,1,5000000000,0.25,12.50,"x, ""y""",\x00,2025-03-01,2025-03-01 12:00:00+00,1 day,"[1]")";

}  // namespace

void FuzzCsv(std::string_view bytes) {
  static const Format& format = *NewCsvFormat().release();
  static const proto::Source& table = *new proto::Source(TableOfAllTypes("csv"));
  DecodeBetween(format, table, kGood, bytes);
}

std::vector<std::string> CsvSeeds() {
  return {kGood, "", ",,,,,,,,,,", "\"a\nb\",\"\"\"",
          "t,-1,,1e400,NaN,\xff,\\\\,infinity,now,P1D,{}"};
}

}  // namespace millrace
