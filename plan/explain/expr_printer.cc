#include "plan/explain/expr_printer.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "plan/logical/expr_tree.h"

namespace millrace::plan {
namespace {

using Form = proto::Expr::SpecialForm;

bool IsOperatorName(const std::string& name) {
  return !name.empty() && !absl::ascii_isalnum(static_cast<unsigned char>(name[0])) &&
         name[0] != '_';
}

// The way people write an operator that PostgreSQL has another name for.
std::string OperatorText(const std::string& name) {
  static const std::map<std::string, std::string>& words = *new std::map<std::string, std::string>{
      {"~~", "LIKE"}, {"!~~", "NOT LIKE"}, {"~~*", "ILIKE"}, {"!~~*", "NOT ILIKE"}};
  const auto it = words.find(name);
  return it == words.end() ? name : it->second;
}

class Printer {
 public:
  explicit Printer(const std::vector<std::string>& columns) : columns_(columns) {}

  // `nested`: inside another expression, where an infix expression needs parentheses.
  std::string Print(const proto::Expr& expr, bool nested) const {
    switch (expr.node_case()) {
      case proto::Expr::kColumn:
        return expr.column() < columns_.size() ? QuoteIdentifier(columns_[expr.column()])
                                               : absl::StrCat("$", expr.column());
      case proto::Expr::kLiteral:
        return PrintLiteral(expr);
      case proto::Expr::kCall:
        return PrintCall(expr, nested);
      case proto::Expr::kForm:
        return PrintForm(expr, nested);
      case proto::Expr::NODE_NOT_SET:
        return TypeOf(expr).ToString();
    }
    return "?";
  }

  template <typename Exprs>
  std::string List(const Exprs& exprs, const char* separator, bool nested) const {
    return absl::StrJoin(exprs, separator, [&](std::string* out, const proto::Expr& expr) {
      out->append(Print(expr, nested));
    });
  }

 private:
  static std::string PrintLiteral(const proto::Expr& expr) {
    if (!expr.literal().has_text()) {
      return "NULL";
    }
    const SqlType type = TypeOf(expr);
    const std::string& text = expr.literal().text();
    if (type.id == TypeId::kBool) {
      return text == "t" ? "true" : "false";
    }
    if (type.id == TypeId::kInt16 || type.id == TypeId::kInt32 || type.id == TypeId::kInt64 ||
        type.id == TypeId::kNumeric) {
      return text;
    }
    if (type.id == TypeId::kText) {
      return QuoteText(text);
    }
    const std::string shown =
        type.id == TypeId::kBytea ? absl::StrCat("\\x", absl::BytesToHexString(text)) : text;
    return absl::StrCat(QuoteText(shown), "::", type.ToString());
  }

  std::string PrintCall(const proto::Expr& expr, bool nested) const {
    const std::string& name = expr.call().function();
    const ExprList& args = expr.call().args();
    if (name == "cast" && args.size() == 1) {
      return absl::StrCat(Print(args[0], true), "::", TypeOf(expr).ToString());
    }
    if (!IsOperatorName(name) || args.size() > 2 || args.empty()) {
      return absl::StrCat(name, "(", List(args, ", ", false), ")");
    }
    const std::string text = args.size() == 1
                                 ? absl::StrCat(name, " ", Print(args[0], true))
                                 : absl::StrCat(Print(args[0], true), " ", OperatorText(name), " ",
                                                Print(args[1], true));
    return nested ? absl::StrCat("(", text, ")") : text;
  }

  std::string PrintForm(const proto::Expr& expr, bool nested) const {
    const ExprList& args = expr.form().args();
    switch (expr.form().kind()) {
      case Form::AND:
        return Parenthesize(List(args, " AND ", true), nested);
      case Form::OR:
        return Parenthesize(List(args, " OR ", true), nested);
      case Form::NOT:
        return Parenthesize(absl::StrCat("NOT ", Print(args[0], true)), nested);
      case Form::IS_NULL:
        return Suffix(args, " IS NULL", nested);
      case Form::IS_NOT_NULL:
        return Suffix(args, " IS NOT NULL", nested);
      case Form::IS_TRUE:
        return Suffix(args, " IS TRUE", nested);
      case Form::IS_FALSE:
        return Suffix(args, " IS FALSE", nested);
      case Form::IS_DISTINCT_FROM:
        return Parenthesize(List(args, " IS DISTINCT FROM ", true), nested);
      case Form::CASE:
        return PrintCase(args);
      case Form::COALESCE:
        return absl::StrCat("COALESCE(", List(args, ", ", false), ")");
      case Form::NULLIF:
        return absl::StrCat("NULLIF(", Print(args[0], false), ", ", Print(args[1], false), ")");
      case Form::IN_LIST:
        return PrintIn(args, nested);
      case Form::BATCH_TIME:
        return "batch_time()";
      case Form::ARRAY:
        return absl::StrCat("ARRAY[", List(args, ", ", false), "]");
      case Form::GREATEST:
        return absl::StrCat("GREATEST(", List(args, ", ", false), ")");
      case Form::LEAST:
        return absl::StrCat("LEAST(", List(args, ", ", false), ")");
      default:
        return "?";
    }
  }

  static std::string Parenthesize(const std::string& text, bool nested) {
    return nested ? absl::StrCat("(", text, ")") : text;
  }

  std::string Suffix(const ExprList& args, const char* suffix, bool nested) const {
    return Parenthesize(absl::StrCat(Print(args[0], true), suffix), nested);
  }

  std::string PrintIn(const ExprList& args, bool nested) const {
    const std::vector<proto::Expr> values(args.begin() + 1, args.end());
    return Parenthesize(absl::StrCat(Print(args[0], true), " IN (", List(values, ", ", false), ")"),
                        nested);
  }

  std::string PrintCase(const ExprList& args) const {
    std::string text = "CASE";
    for (int i = 0; i + 1 < args.size(); i += 2) {
      absl::StrAppend(&text, " WHEN ", Print(args[i], false), " THEN ", Print(args[i + 1], false));
    }
    if (args.size() % 2 == 1) {
      absl::StrAppend(&text, " ELSE ", Print(args[args.size() - 1], false));
    }
    return text + " END";
  }

  const std::vector<std::string>& columns_;
};

}  // namespace

std::string ExprToSql(const proto::Expr& expr, const std::vector<std::string>& columns) {
  return Printer(columns).Print(expr, false);
}

std::string AggregateToSql(const proto::AggregateCall& call,
                           const std::vector<std::string>& columns) {
  const std::string args =
      call.args().empty() ? "*" : Printer(columns).List(call.args(), ", ", false);
  std::string text = absl::StrCat(call.function(), "(", args, ")");
  if (call.has_filter()) {
    absl::StrAppend(&text, " FILTER (WHERE ", ExprToSql(call.filter(), columns), ")");
  }
  return text;
}

std::string QuoteIdentifier(const std::string& name) {
  const bool plain = !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' ||
                              c == '$' || c >= 0x80;
                     });
  return plain ? name : absl::StrCat("\"", absl::StrReplaceAll(name, {{"\"", "\"\""}}), "\"");
}

std::string QuoteText(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
}

}  // namespace millrace::plan
