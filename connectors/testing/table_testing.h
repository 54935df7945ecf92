// Source tables for tests of connectors and formats. Pure functions.
#ifndef MILLRACE_CONNECTORS_TESTING_TABLE_TESTING_H_
#define MILLRACE_CONNECTORS_TESTING_TABLE_TESTING_H_

#include <string>
#include <utility>
#include <vector>

#include "proto/plan.pb.h"

namespace millrace {

using Columns = std::vector<std::pair<std::string, proto::TypeKind>>;
using Options = std::vector<std::pair<std::string, std::string>>;

// Table t, all of whose columns are declared and read. Connector and format are the caller's.
inline proto::Source Table(const Columns& columns, const Options& options = {}) {
  proto::Source source;
  source.set_table("t");
  for (const auto& [name, type] : columns) {
    proto::Field* declared = source.add_declared();
    declared->set_name(name);
    declared->mutable_type()->set_kind(type);
    proto::SourceColumn* column = source.add_columns();
    column->set_name(name);
    column->mutable_type()->set_kind(type);
    column->set_declared(source.declared_size() - 1);
  }
  for (const auto& [name, value] : options) {
    (*source.mutable_options())[name] = value;
  }
  return source;
}

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_TESTING_TABLE_TESTING_H_
