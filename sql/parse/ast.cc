#include "sql/parse/ast.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "plan/logical/sql_error.h"

namespace millrace::sql {
namespace {

// Fields of an interval type, as PostgreSQL's INTERVAL_MASK numbers them.
const std::map<int, std::string>& IntervalFields() {
  static const auto& fields =
      *new std::map<int, std::string>{{1 << 1, "month"}, {1 << 2, "year"},    {1 << 3, "day"},
                                      {1 << 10, "hour"}, {1 << 11, "minute"}, {1 << 12, "second"}};
  return fields;
}

constexpr int kIntervalFullRange = 0x7FFF;
// The largest p of numeric(p, s); a numeric without (p, s) may be wider.
constexpr int kMaxNumericPrecision = 1000;

absl::StatusOr<int> IntegerModifier(const pg_query::Node& node, int32_t position) {
  if (!node.has_a_const() || !node.a_const().has_ival()) {
    return plan::ErrorAt(position, "type modifiers must be integers");
  }
  return node.a_const().ival().ival();
}

absl::StatusOr<SqlType> NumericWithModifiers(const pg_query::TypeName& name) {
  ASSIGN_OR_RETURN(const int precision, IntegerModifier(name.typmods(0), name.location()));
  int scale = 0;
  if (name.typmods_size() > 1) {
    ASSIGN_OR_RETURN(scale, IntegerModifier(name.typmods(1), name.location()));
  }
  if (precision < 1 || precision > kMaxNumericPrecision) {
    return plan::ErrorAt(name.location(),
                         absl::StrCat("NUMERIC precision ", precision, " must be between 1 and ",
                                      kMaxNumericPrecision));
  }
  if (scale < -kMaxNumericPrecision || scale > kMaxNumericPrecision) {
    return plan::ErrorAt(name.location(),
                         absl::StrCat("NUMERIC scale ", scale, " must be between ",
                                      -kMaxNumericPrecision, " and ", kMaxNumericPrecision));
  }
  return SqlType{.id = TypeId::kNumeric, .precision = precision, .scale = scale};
}

absl::StatusOr<SqlType> ApplyModifiers(const SqlType& type, const pg_query::TypeName& name,
                                       const std::string& written, std::string* interval_field) {
  if (name.typmods().empty()) {
    return type;
  }
  if (type.id == TypeId::kNumeric) {
    return NumericWithModifiers(name);
  }
  if (type.id == TypeId::kInterval) {
    ASSIGN_OR_RETURN(const int mask, IntegerModifier(name.typmods(0), name.location()));
    const auto field = IntervalFields().find(mask);
    if (name.typmods_size() == 1 && mask == kIntervalFullRange) {
      return type;
    }
    if (name.typmods_size() == 1 && field != IntervalFields().end() && interval_field != nullptr) {
      *interval_field = field->second;
      return type;
    }
    return Unsupported("an interval type with fields or precision", name.location());
  }
  return Unsupported(
      absl::StrCat("the modifier of type ", written, "(…); write ", type.ToString(), " without it"),
      name.location());
}

}  // namespace

int32_t LocationOf(const google::protobuf::Message& node) {
  const google::protobuf::Descriptor& descriptor = *node.GetDescriptor();
  const google::protobuf::Reflection& reflection = *node.GetReflection();
  if (const auto* field = descriptor.FindFieldByName("location"); field != nullptr) {
    if (const int32_t location = reflection.GetInt32(node, field); location >= 0) {
      return location;
    }
  }
  std::vector<const google::protobuf::FieldDescriptor*> set;
  reflection.ListFields(node, &set);
  int32_t first = -1;
  const auto consider = [&first](int32_t location) {
    first = location >= 0 && (first < 0 || location < first) ? location : first;
  };
  for (const google::protobuf::FieldDescriptor* field : set) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    if (!field->is_repeated()) {
      consider(LocationOf(reflection.GetMessage(node, field)));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(node, field); ++i) {
      consider(LocationOf(reflection.GetRepeatedMessage(node, field, i)));
    }
  }
  return first;
}

std::vector<std::string> StringsOf(const PgNodes& nodes) {
  std::vector<std::string> strings;
  for (const pg_query::Node& node : nodes) {
    if (node.has_string()) {
      strings.push_back(node.string().sval());
    }
  }
  return strings;
}

absl::StatusOr<std::string> UnqualifiedName(const PgNodes& names, const std::string& what,
                                            int32_t position) {
  const std::vector<std::string> parts = StringsOf(names);
  if (parts.empty() || parts.size() > 2 || (parts.size() == 2 && parts[0] != "pg_catalog")) {
    return plan::ErrorAt(position, absl::StrCat(what, " ", absl::StrJoin(parts, "."),
                                                " does not exist: there are no schemas"));
  }
  return parts.back();
}

absl::StatusOr<std::string> RelationName(const pg_query::RangeVar& relation) {
  if (!relation.schemaname().empty() || !relation.catalogname().empty()) {
    return plan::ErrorAt(
        relation.location(),
        absl::StrCat(
            "\"", relation.schemaname(), ".", relation.relname(),
            "\": schemas are not supported; write the table's name alone, or in double quotes if "
            "it has a dot"));
  }
  return relation.relname();
}

bool ConstantText(const pg_query::Node& node, std::string* text) {
  switch (node.node_case()) {
    case pg_query::Node::kString:
      *text = node.string().sval();
      return true;
    case pg_query::Node::kInteger:
      *text = absl::StrCat(node.integer().ival());
      return true;
    case pg_query::Node::kFloat:
      *text = node.float_().fval();
      return true;
    case pg_query::Node::kTypeName:  // an unquoted word: format = raw
      *text = absl::StrJoin(StringsOf(node.type_name().names()), ".");
      return node.type_name().typmods().empty() && node.type_name().array_bounds().empty();
    case pg_query::Node::kAConst:
      break;
    default:
      return false;
  }
  const pg_query::A_Const& constant = node.a_const();
  switch (constant.val_case()) {
    case pg_query::A_Const::kIval:
      *text = absl::StrCat(constant.ival().ival());
      return true;
    case pg_query::A_Const::kFval:
      *text = constant.fval().fval();
      return true;
    case pg_query::A_Const::kBoolval:
      *text = constant.boolval().boolval() ? "true" : "false";
      return true;
    case pg_query::A_Const::kSval:
      *text = constant.sval().sval();
      return true;
    default:
      return false;
  }
}

absl::StatusOr<SqlType> BindTypeName(const pg_query::TypeName& name, std::string* interval_field) {
  const int32_t position = name.location();
  if (name.setof() || name.pct_type()) {
    return Unsupported("SETOF and %TYPE", position);
  }
  ASSIGN_OR_RETURN(const std::string written, UnqualifiedName(name.names(), "type", position));
  absl::StatusOr<SqlType> type = TypeByName(written);
  if (!type.ok()) {
    return plan::WithPosition(type.status(), position);
  }
  ASSIGN_OR_RETURN(SqlType result, ApplyModifiers(*type, name, written, interval_field));
  if (name.array_bounds_size() > 1) {
    return Unsupported("an array of several dimensions", position);
  }
  return name.array_bounds().empty() ? result : ArrayOf(result);
}

std::string ConstructName(const pg_query::Node& node) {
  switch (node.node_case()) {
    case pg_query::Node::kSubLink:
      return "a subquery in an expression";
    case pg_query::Node::kRowExpr:
      return "a row constructor";
    case pg_query::Node::kCollateClause:
      return "COLLATE";
    case pg_query::Node::kParamRef:
      return "a parameter";
    case pg_query::Node::kGroupingFunc:
      return "GROUPING";
    case pg_query::Node::kGroupingSet:
      return "GROUPING SETS, ROLLUP and CUBE";
    case pg_query::Node::kNamedArgExpr:
      return "a named argument";
    case pg_query::Node::kXmlExpr:
    case pg_query::Node::kXmlSerialize:
      return "XML";
    case pg_query::Node::kSetToDefault:
      return "DEFAULT";
    case pg_query::Node::kCurrentOfExpr:
      return "CURRENT OF";
    case pg_query::Node::kRangeTableSample:
      return "TABLESAMPLE";
    case pg_query::Node::kRangeTableFunc:
      return "XMLTABLE";
    default:
      break;
  }
  const auto* field =
      pg_query::Node::descriptor()->FindFieldByNumber(static_cast<int>(node.node_case()));
  return field == nullptr ? "this construct" : std::string(field->message_type()->name());
}

absl::Status Unsupported(const std::string& construct, int32_t position) {
  return plan::ErrorAt(position, absl::StrCat(construct, " is not supported yet"));
}

}  // namespace millrace::sql
