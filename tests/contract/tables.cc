#include "tests/contract/tables.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "connectors/all.h"

namespace millrace {

const ConnectorRegistry& Connectors() {
  static const ConnectorRegistry& registry = *BuiltInConnectors().release();
  return registry;
}

proto::Source TextSource(const std::string& connector, const std::string& format,
                         const std::vector<std::pair<std::string, std::string>>& options) {
  proto::Source source;
  source.set_table("t");
  source.set_connector(connector);
  source.set_format(format);
  for (const auto& [name, value] : options) {
    (*source.mutable_options())[name] = value;
  }
  proto::Field* declared = source.add_declared();
  declared->set_name("value");
  declared->mutable_type()->set_kind(proto::TYPE_TEXT);
  proto::SourceColumn* column = source.add_columns();
  column->set_name("value");
  column->mutable_type()->set_kind(proto::TYPE_TEXT);
  column->set_declared(0);
  return source;
}

proto::Sink TextSink(const std::string& connector, const std::string& format,
                     const std::vector<std::pair<std::string, std::string>>& options) {
  proto::Sink sink;
  sink.set_table("t");
  sink.set_connector(connector);
  sink.set_format(format);
  for (const auto& [name, value] : options) {
    (*sink.mutable_options())[name] = value;
  }
  AddSinkColumn(&sink, "value", proto::TYPE_TEXT);
  return sink;
}

void AddSinkColumn(proto::Sink* sink, const std::string& name, proto::TypeKind type) {
  proto::Field* column = sink->add_columns();
  column->set_name(name);
  column->mutable_type()->set_kind(type);
}

ColumnPtr TextColumn(const std::vector<std::string>& values) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    column->SetTextCopy(i, values[i]);
    if (values[i] == "<null>") {
      column->SetNull(i);
    }
  }
  return column;
}

Batch TextRows(const std::vector<std::vector<std::string>>& columns) {
  std::vector<ColumnPtr> made;
  made.reserve(columns.size());
  for (const auto& values : columns) {
    made.push_back(TextColumn(values));
  }
  return Batch(std::move(made), columns[0].size());
}

ColumnPtr Weights(const std::vector<int64_t>& weights) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kInt64), weights.size());
  std::copy(weights.begin(), weights.end(), column->mutable_values<int64_t>());
  return column;
}

std::vector<std::string> Texts(const Batch& batch, size_t column) {
  std::vector<std::string> texts;
  batch.rows().ForEach([&](uint32_t row) {
    const Column& values = *batch.column(column);
    texts.push_back(values.IsNull(row) ? "<null>"
                                       : std::string(values.value<TextView>(row).view()));
  });
  return texts;
}

std::string NewDirectory() {
  const char* temporary = std::getenv("TEST_TMPDIR");
  std::string pattern = absl::StrCat(temporary == nullptr ? "/tmp" : temporary, "/contract-XXXXXX");
  MILLRACE_CHECK(mkdtemp(pattern.data()) != nullptr) << pattern;
  return pattern;
}

}  // namespace millrace
