// Builds the plan of a job (proto/plan.proto) without SQL: for tests of what runs plans, and as the
// beginning of the C++ API. Word count, into a table with a row per word:
//
//   PlanBuilder job(FunctionRegistry::BuiltIn(), {.parallelism = 4});
//   job.Read({.table = "lines", .connector = "kafka", .columns = {{"line", kText}}})
//       .TableFunction("string_to_table", {Col("line"), Text(" ")}, {.names = {"word"}})
//       .GroupBy({Col("word")}, {Count()}, {.name = "words"})
//       .Consolidate({"word"})
//       .WriteTo({.table = "counts", .connector = "kafka", .primary_key = {"word"}});
//   absl::StatusOr<proto::JobPlan> plan = job.Build();
//
// It builds the physical plan that is asked for. Each call adds one operator, except Exchange,
// which also begins a stage, and GroupBy, which adds both phases of an aggregation with an exchange
// between them. What follows from the operators is filled in: ids, stages, output columns, what
// retracts, which exchange must keep its order. The rest is the caller's: nothing is converted,
// pruned, reordered or shared.
//
// The first error is kept, names the operator, and is Build's result; after it nothing is added.
// Thread-compatible. A Stream is used only while its builder lives.
#ifndef MILLRACE_PLAN_BUILDER_PLAN_BUILDER_H_
#define MILLRACE_PLAN_BUILDER_PLAN_BUILDER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/config/settings.h"
#include "common/expr/function_registry.h"
#include "plan/builder/expression.h"
#include "proto/plan.pb.h"

namespace millrace::plan {

class PlanBuilder;

// A table that a job reads, all columns of it.
struct SourceTable {
  std::string table;
  std::string connector = {};
  std::string format = {};
  std::map<std::string, std::string> options = {};  // not checked: that is the connector's
  std::vector<Field> columns;
  std::vector<std::string> primary_key = {};
  proto::OnError on_error = proto::ON_ERROR_FAIL;
};

// A table that a job writes, with the columns of the rows that reach it.
struct SinkTable {
  std::string table;
  std::string connector = {};
  std::string format = {};
  std::map<std::string, std::string> options = {};  // not checked: that is the connector's
  std::vector<std::string> primary_key = {};
  // If left out: upsert with a primary key, else changes if the rows can be taken back, else
  // append.
  std::optional<proto::SinkMode> mode = std::nullopt;
};

struct GroupByOptions {
  // Identity of the aggregation's state from plan to plan; if empty, it depends on the other
  // operators.
  std::string name = {};
  bool per_batch = false;  // state ends with the batch, and results are final
};

struct TableFunctionOptions {
  std::vector<std::string> keep = {};   // columns of the input that are passed on
  std::vector<std::string> names = {};  // of what the function returns, instead of its own names
  bool with_ordinality = false;         // adds a column "ordinality"
  bool left = false;  // keeps rows for which the function returns none, with NULLs beside them
};

// The rows at one point of a plan. A small value: several operators can read the rows of one.
class Stream {
 public:
  Stream Filter(const Expression& predicate) const;
  Stream Project(const std::vector<Expression>& columns) const;

  // Joins each row with the rows that the function returns for it.
  Stream TableFunction(const std::string& function, const std::vector<Expression>& args,
                       const TableFunctionOptions& options = {}) const;

  // A row per group: the keys, then the aggregates. Without keys there is one group, which has a
  // row even over no input unless `per_batch`.
  Stream GroupBy(const std::vector<Expression>& keys,
                 const std::vector<AggregateExpression>& aggregates,
                 const GroupByOptions& options = {}) const;

  // Brings rows with equal keys together in a new stage; without keys, all rows.
  Stream Exchange(const std::vector<std::string>& keys) const;

  // Leaves at most one insert per key and batch, and, unless `upsert`, a delete before it.
  // REQUIRES: rows of equal keys are together, by an Exchange or GroupBy.
  Stream Consolidate(const std::vector<std::string>& keys, bool upsert = true) const;

  // Makes NULL in one of the columns an error of the row; `table`, with that primary key, is for
  // the message.
  Stream NotNull(const std::vector<std::string>& columns, const std::string& table) const;

  void WriteTo(const SinkTable& table) const;

  const std::vector<Field>& columns() const { return columns_; }

 private:
  friend class PlanBuilder;
  struct Grouping;

  Stream(PlanBuilder* builder, int stage, std::vector<Field> columns)
      : builder_(builder), stage_(stage), columns_(std::move(columns)) {}

  Scope scope() const;
  absl::StatusOr<std::vector<uint32_t>> FindAll(const std::vector<std::string>& names) const;
  absl::StatusOr<Grouping> BindGrouping(const std::vector<Expression>& keys,
                                        const std::vector<AggregateExpression>& aggregates) const;
  // The rows behind an operator that is added here and has the output; `retracts` as in Operator.
  Stream Then(const std::string& name, proto::Operator op, std::vector<Field> output,
              bool retracts) const;
  Stream ThenExchange(const std::string& name, const std::vector<uint32_t>& keys,
                      bool ordered) const;
  absl::Status AddSink(const std::string& name, const SinkTable& table) const;

  PlanBuilder* builder_;
  int stage_;
  std::optional<uint32_t> last_ = std::nullopt;  // operator; none = the stage's input
  std::vector<Field> columns_;
  bool retracts_ = false;
};

class PlanBuilder {
 public:
  // `functions` outlives the builder. The plan carries all settings; parallelism and key groups are
  // of them.
  explicit PlanBuilder(const FunctionRegistry& functions, JobSettings settings = {});
  PlanBuilder(const PlanBuilder&) = delete;
  PlanBuilder& operator=(const PlanBuilder&) = delete;

  // The rows of the table, in a stage of its own.
  Stream Read(const SourceTable& table);

  // The plan, or what is wrong with it: the first error of an operator; INVALID_ARGUMENT for a
  // setting, or for rows that nothing reads.
  absl::StatusOr<proto::JobPlan> Build() const;

 private:
  friend class Stream;

  // Runs `add` with the name of a new operator, unless there was an error before; keeps its error,
  // and then returns `from` as it is. An empty `name` is made up from the kind.
  Stream Apply(const Stream& from, const std::string& kind, std::string name,
               absl::FunctionRef<absl::StatusOr<Stream>(const std::string& name)> add);
  absl::Status AddSource(const SourceTable& table);
  int AddStage();

  const FunctionRegistry& functions_;
  const JobSettings settings_;
  proto::JobPlan plan_;
  absl::Status status_;  // the first error
  std::set<std::string> names_;
  std::map<std::string, int> ordinals_;  // by kind, of names that were made up
  uint32_t next_operator_ = 1;
};

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_BUILDER_PLAN_BUILDER_H_
