#include "plan/explain/explain.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plan/explain/expr_printer.h"

namespace millrace::plan {
namespace {

using Names = std::vector<std::string>;

template <typename Fields>
Names NamesOf(const Fields& fields) {
  Names names;
  for (const auto& field : fields) {
    names.push_back(field.name());
  }
  return names;
}

std::string JoinQuoted(const Names& names) {
  return absl::StrJoin(names, ", ", [](std::string* out, const std::string& name) {
    out->append(QuoteIdentifier(name));
  });
}

template <typename Indexes>
std::string JoinColumns(const Indexes& indexes, const Names& names) {
  return absl::StrJoin(indexes, ", ", [&names](std::string* out, uint32_t index) {
    out->append(QuoteIdentifier(names[index]));
  });
}

template <typename Exprs>
std::string JoinExprs(const Exprs& exprs, const Names& names) {
  return absl::StrJoin(exprs, ", ", [&names](std::string* out, const proto::Expr& expr) {
    out->append(ExprToSql(expr, names));
  });
}

template <typename Calls>
std::string JoinAggregates(const Calls& calls, const Names& names) {
  return absl::StrJoin(calls, ", ", [&names](std::string* out, const proto::AggregateCall& call) {
    out->append(AggregateToSql(call, names));
  });
}

// ": a, b", or nothing for an empty list.
std::string After(const std::string& list) { return list.empty() ? "" : absl::StrCat(": ", list); }

// " by a, b", or nothing for no keys.
std::string By(const std::string& keys) { return keys.empty() ? "" : absl::StrCat(" by ", keys); }

std::string Where(const std::string& connector, const std::string& format,
                  const google::protobuf::Map<std::string, std::string>& options) {
  std::string text = connector;
  for (const char* name : {"topic", "path"}) {
    if (const auto it = options.find(name); it != options.end()) {
      absl::StrAppend(&text, " ", QuoteText(it->second));
    }
  }
  if (!format.empty()) {
    absl::StrAppend(&text, ", format ", format);
  }
  return text;
}

class StagePrinter {
 public:
  StagePrinter(const proto::JobPlan& plan, const proto::Stage& stage) : plan_(plan), stage_(stage) {
    for (const proto::Operator& op : stage.operators()) {
      by_id_[op.id()] = &op;
    }
  }

  std::string Print() const {
    std::string text = absl::StrCat("Stage ", stage_.id(), ": ");
    if (stage_.has_source()) {
      absl::StrAppend(&text, "a task per split of ",
                      QuoteIdentifier(plan_.sources(Source()).table()), "\n");
    } else {
      absl::StrAppend(&text, "a task per keyed shard\n");
    }
    for (const proto::Operator& op : stage_.operators()) {
      if (op.has_sink_write() || op.has_exchange_write()) {
        PrintTree(op, 1, &text);
      }
    }
    if (stage_.has_source() && plan_.sources(Source()).on_error() == proto::ON_ERROR_TABLE) {
      const proto::Source& source = plan_.sources(Source());
      Line(1, DescribeSink(plan_.sinks(static_cast<int>(source.error_sink()))), &text);
      Line(2, absl::StrCat("Records of ", QuoteIdentifier(source.table()), " that fail"), &text);
    }
    return text;
  }

 private:
  int Source() const { return static_cast<int>(stage_.source()); }

  static void Line(int depth, const std::string& line, std::string* out) {
    absl::StrAppend(out, std::string(static_cast<size_t>(depth) * 2, ' '), "-> ", line, "\n");
  }

  void PrintTree(const proto::Operator& op, int depth, std::string* out) const {
    Line(depth, Describe(op), out);
    if (op.inputs().empty()) {
      Line(depth + 1, DescribeInput(), out);
    }
    for (uint32_t input : op.inputs()) {
      PrintTree(*by_id_.at(input), depth + 1, out);
    }
  }

  std::string DescribeInput() const {
    if (stage_.has_source()) {
      const proto::Source& source = plan_.sources(Source());
      const Names columns = NamesOf(source.columns());
      return absl::StrCat("Source ", QuoteIdentifier(source.table()), " (",
                          Where(source.connector(), source.format(), source.options()),
                          "): ", columns.empty() ? "no columns" : JoinQuoted(columns));
    }
    return absl::StrCat("Exchange ", stage_.exchange(), " from stage ",
                        WriterOf(stage_.exchange()));
  }

  uint32_t WriterOf(uint32_t exchange) const {
    for (const proto::Stage& stage : plan_.stages()) {
      for (const proto::Operator& op : stage.operators()) {
        if (op.has_exchange_write() && op.exchange_write().exchange() == exchange) {
          return stage.id();
        }
      }
    }
    return 0;
  }

  Names InputNames(const proto::Operator& op) const {
    if (!op.inputs().empty()) {
      return NamesOf(by_id_.at(op.inputs(0))->output());
    }
    return stage_.has_source()
               ? NamesOf(plan_.sources(Source()).columns())
               : NamesOf(plan_.exchanges(static_cast<int>(stage_.exchange())).columns());
  }

  std::string Describe(const proto::Operator& op) const {
    const Names names = InputNames(op);
    switch (op.kind_case()) {
      case proto::Operator::kFilter:
        return absl::StrCat("Filter ", ExprToSql(op.filter().predicate(), names));
      case proto::Operator::kProject:
        return DescribeProject(op, names);
      case proto::Operator::kTableFunction:
        return DescribeTableFunction(op.table_function(), names);
      case proto::Operator::kPartialAggregate:
        return absl::StrCat("Partial aggregate",
                            By(JoinExprs(op.partial_aggregate().keys(), names)),
                            After(JoinAggregates(op.partial_aggregate().aggregates(), names)));
      case proto::Operator::kFinalAggregate:
        return absl::StrCat("Final aggregate", By(JoinQuoted(NamesOf(op.final_aggregate().keys()))),
                            ", ", op.final_aggregate().per_batch() ? "per batch" : "running",
                            After(JoinAggregates(op.final_aggregate().aggregates(), names)));
      case proto::Operator::kConsolidate:
        return absl::StrCat("Consolidate", By(JoinColumns(op.consolidate().keys(), names)),
                            op.consolidate().upsert() ? ", upsert" : "");
      case proto::Operator::kNotNull:
        return absl::StrCat("Not null ", JoinColumns(op.not_null().columns(), names));
      case proto::Operator::kExchangeWrite:
        return absl::StrCat("Exchange ", op.exchange_write().exchange(),
                            By(JoinColumns(op.exchange_write().keys(), names)),
                            op.exchange_write().keys().empty() ? " to one shard" : "");
      case proto::Operator::kSinkWrite:
        return DescribeSink(plan_.sinks(static_cast<int>(op.sink_write().sink())));
      case proto::Operator::KIND_NOT_SET:
        break;
    }
    return "?";
  }

  static std::string DescribeProject(const proto::Operator& op, const Names& names) {
    Names shown;
    for (int i = 0; i < op.project().exprs_size(); ++i) {
      const std::string text = ExprToSql(op.project().exprs(i), names);
      const std::string name = i < op.output_size() ? QuoteIdentifier(op.output(i).name()) : text;
      shown.push_back(text == name ? text : absl::StrCat(text, " AS ", name));
    }
    return absl::StrCat("Project ", absl::StrJoin(shown, ", "));
  }

  static std::string DescribeTableFunction(const proto::TableFunction& function,
                                           const Names& names) {
    std::string text = absl::StrCat(function.left() ? "Left table function " : "Table function ",
                                    function.function(), "(", JoinExprs(function.args(), names),
                                    ") AS ", JoinQuoted(NamesOf(function.columns())));
    if (function.with_ordinality()) {
      text += " with ordinality";
    }
    if (!function.kept().empty()) {
      absl::StrAppend(&text, ", keeping ", JoinColumns(function.kept(), names));
    }
    return text;
  }

  static std::string DescribeSink(const proto::Sink& sink) {
    const char* mode = sink.mode() == proto::SINK_UPSERT    ? "upsert"
                       : sink.mode() == proto::SINK_CHANGES ? "changes"
                                                            : "inserts";
    return absl::StrCat("Sink ", QuoteIdentifier(sink.table()), " (",
                        Where(sink.connector(), sink.format(), sink.options()), ", ", mode,
                        "): ", JoinQuoted(NamesOf(sink.columns())));
  }

  const proto::JobPlan& plan_;
  const proto::Stage& stage_;
  std::map<uint32_t, const proto::Operator*> by_id_;
};

}  // namespace

std::string ExplainStages(const proto::JobPlan& plan) {
  std::string text;
  for (int i = plan.stages_size() - 1; i >= 0; --i) {
    text += StagePrinter(plan, plan.stages(i)).Print();
  }
  return text;
}

}  // namespace millrace::plan
