// kafka_header(_headers, name): the value of a record's header. Not a function of PostgreSQL.
// Header names may repeat, so the column _headers is a list, and most queries want one value of it.
#include <optional>
#include <string>
#include <string_view>

#include "common/expr/functions/families.h"
#include "common/types/jsonb_scan.h"

namespace millrace {
namespace {

std::string TextOf(std::string_view json) {
  std::string storage;
  return std::string(JsonbToText(json, &storage));
}

// The last header of that name, as Kafka's Headers.lastHeader: its text, or its bytes as \x…; NULL
// where there is none, or it has no value.
std::optional<std::string> LastHeader(JsonbView headers, std::string_view name) {
  std::optional<std::string_view> last;
  if (KindOf(headers.text) != JsonbKind::kArray) {
    return std::nullopt;
  }
  ForEachElement(headers.text, [&](std::string_view header) {
    const auto key = FindMember(header, "\"key\"");
    if (key.has_value() && KindOf(*key) == JsonbKind::kString && TextOf(*key) == name) {
      const auto value = FindMember(header, "\"value\"");
      last = value.has_value() ? value : FindMember(header, "\"bytes\"");
    }
    return true;
  });
  return last.has_value() && KindOf(*last) != JsonbKind::kNull ? std::make_optional(TextOf(*last))
                                                               : std::nullopt;
}

}  // namespace

void AddKafkaHeader(FunctionList* list) {
  list->Add("kafka_header",
            [](JsonbView headers, std::string_view name) { return LastHeader(headers, name); });
}

}  // namespace millrace
