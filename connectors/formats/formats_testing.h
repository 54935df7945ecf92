// Tables and records, and helpers that decode and encode them, for tests.
#ifndef MILLRACE_CONNECTORS_FORMATS_FORMATS_TESTING_H_
#define MILLRACE_CONNECTORS_FORMATS_FORMATS_TESTING_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/types/text_format.h"
#include "connectors/format.h"
#include "connectors/testing/table_testing.h"

namespace millrace {

inline proto::Sink Target(const Columns& columns, const Options& options = {}) {
  proto::Sink sink;
  sink.set_table("t");
  for (const auto& [name, type] : columns) {
    proto::Field* column = sink.add_columns();
    column->set_name(name);
    column->mutable_type()->set_kind(type);
  }
  for (const auto& [name, value] : options) {
    (*sink.mutable_options())[name] = value;
  }
  return sink;
}

struct Decoded {
  std::vector<std::string> rows;  // "a|b|NULL"
  std::vector<std::string> errors;
};

// Decodes records; a value "<none>" is a tombstone.
inline Decoded Decode(const Format& format, const proto::Source& source,
                      const std::vector<std::string>& values,
                      const std::vector<std::string>& keys = {}) {
  EXPECT_TRUE(format.ValidateSource(source).ok()) << format.ValidateSource(source);
  // Each payload's memory is exactly as large as the payload, so that a sanitizer sees a read
  // beyond its end.
  std::vector<std::unique_ptr<char[]>> memory;
  auto view = [&](const std::string& text) {
    if (text == "<none>") {
      return std::string_view();
    }
    memory.push_back(std::make_unique<char[]>(text.size()));
    std::copy(text.begin(), text.end(), memory.back().get());
    return std::string_view(memory.back().get(), text.size());
  };
  std::vector<std::string_view> value_views;
  std::vector<std::string_view> key_views;
  for (size_t i = 0; i < values.size(); ++i) {
    value_views.push_back(view(values[i]));
    key_views.push_back(i < keys.size() ? view(keys[i]) : std::string_view());
  }
  RowErrors errors;
  auto decoder = format.CreateDecoder(source);
  EXPECT_TRUE(decoder.ok()) << decoder.status();
  auto columns = (*decoder)->Decode({.values = value_views.data(),
                                     .keys = key_views.data(),
                                     .count = values.size(),
                                     .owner = nullptr},
                                    &errors);
  EXPECT_TRUE(columns.ok()) << columns.status();
  Decoded out;
  for (size_t row = 0; row < values.size(); ++row) {
    std::string text;
    for (size_t i = 0; i < columns->size(); ++i) {
      text += (i == 0 ? "" : "|") + ValueToString(*(*columns)[i], row);
    }
    out.rows.push_back(text);
  }
  for (const RowError& error : errors.errors()) {
    out.errors.push_back(std::to_string(error.row) + ": " + std::string(error.status.message()));
  }
  return out;
}

// A column of values in their text forms; "NULL" is NULL.
inline ColumnPtr Values(proto::TypeKind kind, const std::vector<std::string>& texts) {
  proto::Type type;
  type.set_kind(kind);
  auto column = std::make_shared<Column>(TypeFromProto(type), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i] == "NULL") {
      column->SetNull(i);
    } else {
      EXPECT_TRUE(ParseValue(texts[i], column.get(), i).ok()) << texts[i];
    }
  }
  return column;
}

// Encoded records as "key -> value".
inline std::vector<std::string> Encode(const Format& format, const proto::Sink& sink,
                                       const Batch& batch) {
  EXPECT_TRUE(format.ValidateSink(sink).ok()) << format.ValidateSink(sink);
  auto encoder = format.CreateEncoder(sink);
  EXPECT_TRUE(encoder.ok()) << encoder.status();
  auto encoded = (*encoder)->Encode(batch);
  EXPECT_TRUE(encoded.ok()) << encoded.status();
  std::vector<std::string> out;
  for (const EncodedRecords::Record& record : encoded->records) {
    auto text = [](std::string_view bytes) {
      return bytes.data() == nullptr ? "none" : std::string(bytes);
    };
    out.push_back(text(record.key) + " -> " + text(record.value));
  }
  return out;
}

using Rows = std::vector<std::string>;

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_FORMATS_TESTING_H_
