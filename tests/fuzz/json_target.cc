// Records in format json.
#include "connectors/formats/json/json_format.h"
#include "tests/fuzz/format_target.h"
#include "tests/fuzz/targets.h"

namespace millrace {
namespace {

constexpr char kGood[] =
    R"({"b":true,"i":1,"l":5000000000,"d":0.25,"n":12.50,"t":"x","y":"\\x00","a":"2025-03-01",)"
    R"("z":"2025-03-01 12:00:00+00","v":"1 day","j":{"a":[1,null,"x"]}})";

}  // namespace

void FuzzJson(std::string_view bytes) {
  static const Format& format = *NewJsonFormat().release();
  static const proto::Source& table = *new proto::Source(TableOfAllTypes("json"));
  DecodeBetween(format, table, kGood, bytes);
}

std::vector<std::string> JsonSeeds() {
  return {kGood, R"({"n":1e-20,"d":1e400,"j":{"k":"\u00e4\ud83d\ude00","l":[[[]]]},"t":"\u0000"})",
          R"({"d":0.33333333333333333333,"i":"7","t":{"a":1},"j":[1.0,-0,1E5]})",
          "\xEF\xBB\xBF{\"t\":null}", R"({"o":{"p":1},"o":{"q":2}} x)"};
}

}  // namespace millrace
