// The shapes of plans: as EXPLAIN shows them, and in details that EXPLAIN does not show.
#include "sql/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sql/testing/fake_connectors.h"

namespace millrace::sql {
namespace {

constexpr char kTables[] =
    "CREATE TABLE lines (id bigint, value text, n int, f float8, ts timestamptz, j jsonb)"
    "  WITH (connector = 'kafka', topic = 't', format = 'json');"
    "CREATE TABLE other (value text) WITH (connector = 'file', path = 'p', format = 'raw');"
    "CREATE TABLE out (a text) WITH (connector = 'file', path = 'o', format = 'raw');"
    "CREATE TABLE counts (word text, count bigint) WITH (connector = 'print');"
    "CREATE TABLE keyed (k text, v bigint, PRIMARY KEY (k)) WITH (connector = 'kafka', topic = "
    "'k', format = 'json');\n";

PlannedScript Plan(const std::string& sql,
                   const std::map<std::string, std::string>& settings = {}) {
  const std::unique_ptr<ConnectorRegistry> connectors = MakeFakeConnectors();
  absl::StatusOr<PlannedScript> script =
      PlanScript(sql, {.settings = settings,
                       .connectors = connectors.get(),
                       .functions = &FunctionRegistry::BuiltIn()});
  EXPECT_TRUE(script.ok()) << script.status().message();
  return script.ok() ? *std::move(script) : PlannedScript();
}

std::string Explain(const std::string& sql) {
  return ExplainPlan(Plan(absl::StrCat(kTables, sql)).plan);
}

std::vector<std::string> Names(const proto::JobPlan& plan) {
  std::vector<std::string> names;
  for (const proto::Stage& stage : plan.stages()) {
    for (const proto::Operator& op : stage.operators()) {
      names.push_back(op.name());
    }
  }
  return names;
}

TEST(PlannerTest, PlansTheWordCountOfTheManual) {
  const PlannedScript script = Plan(
      "SET batch_duration = '2 s';\n"
      "CREATE TABLE lines (value text)\n"
      "  WITH (connector = 'kafka', \"bootstrap.servers\" = 'localhost:9092', topic = 'test', "
      "format = 'raw');\n"
      "CREATE TABLE counts (word text, count bigint) WITH (connector = 'print');\n"
      "INSERT INTO counts\n"
      "  SELECT word, count(*) FROM lines, regexp_split_to_table(value, '\\s+') AS word GROUP BY "
      "word;");
  EXPECT_EQ(ExplainPlan(script.plan),
            "Stage 1: a task per keyed shard\n"
            "  -> Sink counts (print, changes): word, count\n"
            "    -> Final aggregate by word, running: count(*)\n"
            "      -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 by word\n"
            "    -> Partial aggregate by word: count(*)\n"
            "      -> Table function regexp_split_to_table(value, '\\s+') AS word\n"
            "        -> Source lines (kafka 'test', format raw): value\n");
  const proto::JobPlan& plan = script.plan;
  EXPECT_EQ(Names(plan),
            (std::vector<std::string>{"counts/table-function-1", "counts/partial-aggregate-1",
                                      "counts/exchange-1", "counts/aggregate-1", "counts/sink-1"}));
  EXPECT_TRUE(plan.running_state());
  EXPECT_EQ(plan.sinks(0).mode(), proto::SINK_CHANGES);
  EXPECT_TRUE(plan.sinks(0).keyed());
  EXPECT_FALSE(plan.exchanges(0).ordered());
  EXPECT_EQ(plan.key_groups(), 4096u);
  EXPECT_EQ(plan.parallelism(), 0u);
  EXPECT_FALSE(script.explain_only);
  EXPECT_TRUE(script.notices.empty());
}

TEST(PlannerTest, NamesPartialColumnsAsTheExecutorReadsThem) {
  const PlannedScript script = Plan(
      absl::StrCat(kTables, "INSERT INTO counts SELECT value, sum(n) FROM lines GROUP BY value"));
  const proto::Exchange& exchange = script.plan.exchanges(0);
  ASSERT_GE(exchange.columns_size(), 3);
  EXPECT_EQ(exchange.columns(0).name(), "value");
  EXPECT_EQ(exchange.columns(1).name(), "sum$0");
  EXPECT_EQ(exchange.columns(exchange.columns_size() - 1).name(), "weight$");
  EXPECT_EQ(exchange.columns(exchange.columns_size() - 1).type().kind(), proto::TYPE_INT64);
}

TEST(PlannerTest, GroupsPerBatch) {
  EXPECT_EQ(Explain("CREATE TABLE per (word text, at timestamptz, n bigint) WITH (connector = "
                    "'file', path = 'x');"
                    "INSERT INTO per SELECT value, batch_time(), count(*) FROM lines GROUP BY "
                    "value, batch_time()"),
            "Stage 1: a task per keyed shard\n"
            "  -> Sink per (file 'x', inserts): word, at, n\n"
            "    -> Project value AS word, batch_time() AS at, count AS n\n"
            "      -> Final aggregate by value, per batch: count(*)\n"
            "        -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 by value\n"
            "    -> Partial aggregate by value: count(*)\n"
            "      -> Source lines (kafka 't', format json): value\n");
  const PlannedScript script =
      Plan(absl::StrCat(kTables, "INSERT INTO out SELECT value FROM lines GROUP BY value, now()"));
  EXPECT_FALSE(script.plan.running_state());
}

TEST(PlannerTest, SeesTheTimeOfTheBatchThroughViews) {
  EXPECT_EQ(
      Explain("CREATE VIEW stamped AS SELECT value, batch_time() AS bt FROM lines;"
              "CREATE VIEW per AS SELECT value, bt, count(*) AS c FROM stamped GROUP BY value, bt;"
              "INSERT INTO out SELECT max(c)::text FROM per GROUP BY bt"),
      "Stage 2: a task per keyed shard\n"
      "  -> Sink out (file 'o', format raw, inserts): a\n"
      "    -> Project max::text AS a\n"
      "      -> Final aggregate, per batch: max(bigint)\n"
      "        -> Exchange 1 from stage 1\n"
      "Stage 1: a task per keyed shard\n"
      "  -> Exchange 1 to one shard\n"
      "    -> Partial aggregate: max(count)\n"
      "      -> Final aggregate by value, per batch: count(*)\n"
      "        -> Exchange 0 from stage 0\n"
      "Stage 0: a task per split of lines\n"
      "  -> Exchange 0 by value\n"
      "    -> Partial aggregate by value: count(*)\n"
      "      -> Source lines (kafka 't', format json): value\n");
}

TEST(PlannerTest, PushesFiltersBelowFunctionsAndAggregates) {
  EXPECT_EQ(Explain("CREATE VIEW words AS SELECT word, n FROM lines, regexp_split_to_table(value, "
                    "' ') AS word;"
                    "INSERT INTO counts SELECT word, count(*) FROM words WHERE n > 3 AND word <> "
                    "'' GROUP BY word "
                    "HAVING word LIKE 'a%' AND count(*) > 2"),
            "Stage 1: a task per keyed shard\n"
            "  -> Sink counts (print, changes): word, count\n"
            "    -> Filter count > 2\n"
            "      -> Final aggregate by word, running: count(*)\n"
            "        -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 by word\n"
            "    -> Partial aggregate by word: count(*)\n"
            "      -> Filter (word <> '') AND (word LIKE 'a%')\n"
            "        -> Table function regexp_split_to_table(value, ' ') AS word\n"
            "          -> Filter n > 3\n"
            "            -> Source lines (kafka 't', format json): value, n\n");
}

TEST(PlannerTest, LeavesPartsThatMayFailBehindTheirGuards) {
  EXPECT_EQ(
      Explain("INSERT INTO out SELECT word FROM lines, regexp_split_to_table(value, ' ') AS word "
              "WHERE word <> '' AND 10 / n > 1 AND n <> 7"),
      "Stage 0: a task per split of lines\n"
      "  -> Sink out (file 'o', format raw, inserts): a\n"
      "    -> Project word AS a\n"
      "      -> Filter (word <> '') AND ((10 / n) > 1)\n"
      "        -> Table function regexp_split_to_table(value, ' ') AS word, keeping n\n"
      "          -> Filter n <> 7\n"
      "            -> Source lines (kafka 't', format json): value, n\n");
}

TEST(PlannerTest, FoldsConstants) {
  EXPECT_EQ(
      Explain("INSERT INTO out SELECT value || upper('a' || 'b') FROM lines "
              "WHERE n > 2 * 3 + 1 AND 1 = 1 AND CASE WHEN false THEN n / 0 > 1 ELSE true END"),
      "Stage 0: a task per split of lines\n"
      "  -> Sink out (file 'o', format raw, inserts): a\n"
      "    -> Project value || 'AB' AS a\n"
      "      -> Filter n > 7\n"
      "        -> Source lines (kafka 't', format json): value, n\n");
}

TEST(PlannerTest, ReadsNoColumnsToCountRows) {
  EXPECT_EQ(Explain("INSERT INTO counts (count) SELECT count(*) FROM lines"),
            "Stage 1: a task per keyed shard\n"
            "  -> Sink counts (print, changes): word, count\n"
            "    -> Project NULL AS word, count\n"
            "      -> Final aggregate, running: count(*)\n"
            "        -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 to one shard\n"
            "    -> Partial aggregate: count(*)\n"
            "      -> Source lines (kafka 't', format json): no columns\n");
}

TEST(PlannerTest, SharesASourceBetweenInserts) {
  const std::string sql =
      "INSERT INTO out SELECT value FROM lines WHERE n > 1;"
      "INSERT INTO counts SELECT value, f::bigint FROM lines;"
      "INSERT INTO out SELECT _topic FROM lines";
  EXPECT_EQ(Explain(sql),
            "Stage 0: a task per split of lines\n"
            "  -> Sink out (file 'o', format raw, inserts): a\n"
            "    -> Project value AS a\n"
            "      -> Filter n > 1\n"
            "        -> Source lines (kafka 't', format json): value, n, f, _topic\n"
            "  -> Sink counts (print, inserts): word, count\n"
            "    -> Project value AS word, f::bigint AS count\n"
            "      -> Source lines (kafka 't', format json): value, n, f, _topic\n"
            "  -> Sink out (file 'o', format raw, inserts): a\n"
            "    -> Project _topic AS a\n"
            "      -> Source lines (kafka 't', format json): value, n, f, _topic\n");
  const PlannedScript script = Plan(absl::StrCat(kTables, sql));
  EXPECT_EQ(
      Names(script.plan),
      (std::vector<std::string>{"out/filter-1", "out/project-1", "out/sink-1", "counts/project-1",
                                "counts/sink-1", "out#2/project-1", "out#2/sink-1"}));
  const proto::Source& source = script.plan.sources(0);
  EXPECT_EQ(source.declared_size(), 6);
  EXPECT_EQ(source.columns(0).declared(), 1);
  EXPECT_EQ(source.columns(3).declared(), -1);
  for (const proto::Sink& sink : script.plan.sinks()) {
    EXPECT_FALSE(sink.keyed());
    EXPECT_EQ(sink.mode(), proto::SINK_APPEND);
  }
}

TEST(PlannerTest, PassesRowsThroughWithoutOperators) {
  EXPECT_EQ(Explain("INSERT INTO out SELECT value FROM lines"),
            "Stage 0: a task per split of lines\n"
            "  -> Sink out (file 'o', format raw, inserts): a\n"
            "    -> Source lines (kafka 't', format json): value\n");
}

TEST(PlannerTest, UpsertsInPlaceWhereTheKeyIsTheGroup) {
  EXPECT_EQ(Explain("INSERT INTO keyed SELECT value, count(*) FROM lines GROUP BY value"),
            "Stage 1: a task per keyed shard\n"
            "  -> Sink keyed (kafka 'k', format json, upsert): k, v\n"
            "    -> Consolidate by k, upsert\n"
            "      -> Not null k\n"
            "        -> Final aggregate by value, running: count(*)\n"
            "          -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 by value\n"
            "    -> Partial aggregate by value: count(*)\n"
            "      -> Source lines (kafka 't', format json): value\n");
}

TEST(PlannerTest, UpsertsBehindAnExchangeOtherwise) {
  // The key is computed from the group: rows of one key may come from several shards.
  EXPECT_EQ(Explain("INSERT INTO keyed SELECT upper(value), count(*) FROM lines GROUP BY value"),
            "Stage 2: a task per keyed shard\n"
            "  -> Sink keyed (kafka 'k', format json, upsert): k, v\n"
            "    -> Consolidate by k, upsert\n"
            "      -> Exchange 1 from stage 1\n"
            "Stage 1: a task per keyed shard\n"
            "  -> Exchange 1 by k\n"
            "    -> Not null k\n"
            "      -> Project upper(value) AS k, count AS v\n"
            "        -> Final aggregate by value, running: count(*)\n"
            "          -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 by value\n"
            "    -> Partial aggregate by value: count(*)\n"
            "      -> Source lines (kafka 't', format json): value\n");
  const PlannedScript script = Plan(absl::StrCat(
      kTables, "INSERT INTO keyed SELECT upper(value), count(*) FROM lines GROUP BY value"));
  EXPECT_FALSE(script.plan.exchanges(0).retracts());
  EXPECT_TRUE(script.plan.exchanges(1).retracts());
}

TEST(PlannerTest, AggregatesOverARunningAggregate) {
  const PlannedScript script =
      Plan(absl::StrCat(kTables,
                        "CREATE VIEW c AS SELECT value, count(*) AS n FROM lines GROUP BY value;"
                        "INSERT INTO counts SELECT n::text, count(*) FROM c GROUP BY n"));
  EXPECT_EQ(Names(script.plan),
            (std::vector<std::string>{"counts/c/partial-aggregate-1", "counts/c/exchange-1",
                                      "counts/c/aggregate-1", "counts/partial-aggregate-1",
                                      "counts/exchange-1", "counts/aggregate-1", "counts/project-1",
                                      "counts/sink-1"}));
  const proto::Stage& middle = script.plan.stages(1);
  EXPECT_TRUE(middle.operators(0).retracts());
  EXPECT_FALSE(middle.operators(0).final_aggregate().input_retracts());
  EXPECT_TRUE(middle.operators(1).partial_aggregate().input_retracts());
  EXPECT_FALSE(middle.operators(1).retracts()) << "partial rows carry their weights in a column";
  EXPECT_TRUE(script.plan.stages(2).operators(0).final_aggregate().input_retracts());
}

TEST(PlannerTest, ReadsOrderSensitiveAggregatesInOrder) {
  const PlannedScript script = Plan(absl::StrCat(
      kTables,
      "INSERT INTO out SELECT string_agg(value, ',') FROM lines GROUP BY n, batch_time()"));
  EXPECT_TRUE(script.plan.exchanges(0).ordered());
}

TEST(PlannerTest, GroupsByOrdinalAliasAndExpression) {
  const std::string expected =
      "Stage 1: a task per keyed shard\n"
      "  -> Sink counts (print, changes): word, count\n"
      "    -> Final aggregate by key1, running: count(*)\n"
      "      -> Exchange 0 from stage 0\n"
      "Stage 0: a task per split of lines\n"
      "  -> Exchange 0 by key1\n"
      "    -> Partial aggregate by upper(value): count(*)\n"
      "      -> Source lines (kafka 't', format json): value\n";
  EXPECT_EQ(Explain("INSERT INTO counts SELECT upper(value) AS u, count(*) FROM lines GROUP BY 1"),
            expected);
  EXPECT_EQ(Explain("INSERT INTO counts SELECT upper(value) AS u, count(*) FROM lines GROUP BY u"),
            expected);
  EXPECT_EQ(
      Explain(
          "INSERT INTO counts SELECT upper(value), count(*) FROM lines l GROUP BY upper(l.value)"),
      expected);
}

TEST(PlannerTest, ComputesOverAggregates) {
  EXPECT_EQ(
      Explain(
          "INSERT INTO counts SELECT value || '!', sum(n) / count(*) + 1 FROM lines GROUP BY value "
          "HAVING count(*) > 1 AND count(*) FILTER (WHERE n > 0) < 9"),
      "Stage 1: a task per keyed shard\n"
      "  -> Sink counts (print, changes): word, count\n"
      "    -> Project value || '!' AS word, (sum / count) + 1 AS count\n"
      "      -> Filter (count > 1) AND (count < 9)\n"
      "        -> Final aggregate by value, running: sum(integer), count(*), count(*)\n"
      "          -> Exchange 0 from stage 0\n"
      "Stage 0: a task per split of lines\n"
      "  -> Exchange 0 by value\n"
      "    -> Partial aggregate by value: sum(n), count(*), count(*) FILTER (WHERE n > 0)\n"
      "      -> Source lines (kafka 't', format json): value, n\n");
}

TEST(PlannerTest, TakesDistinctAndWithAsGroupsAndViews) {
  const PlannedScript script =
      Plan(absl::StrCat(kTables,
                        "INSERT INTO out WITH w AS (SELECT DISTINCT value AS word FROM lines) "
                        "SELECT word FROM w WHERE word <> ''"));
  EXPECT_EQ(ExplainPlan(script.plan),
            "Stage 1: a task per keyed shard\n"
            "  -> Sink out (file 'o', format raw, inserts): a\n"
            "    -> Final aggregate by word, running\n"
            "      -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 by word\n"
            "    -> Partial aggregate by value\n"
            "      -> Filter value <> ''\n"
            "        -> Source lines (kafka 't', format json): value\n");
}

TEST(PlannerTest, BindsLateralFunctions) {
  EXPECT_EQ(
      Explain("INSERT INTO counts SELECT w.word, w.i FROM lines AS l LEFT JOIN LATERAL "
              "unnest(string_to_array(l.value, ',')) WITH ORDINALITY AS w (word, i) ON true"),
      "Stage 0: a task per split of lines\n"
      "  -> Sink counts (print, inserts): word, count\n"
      "    -> Left table function unnest(string_to_array(value, ',')) AS word with ordinality\n"
      "      -> Source lines (kafka 't', format json): value\n");
  EXPECT_EQ(Explain("INSERT INTO counts SELECT value || x, g FROM lines CROSS JOIN "
                    "generate_series(1, n) AS g, "
                    "unnest(ARRAY['a', 'b']) x"),
            "Stage 0: a task per split of lines\n"
            "  -> Sink counts (print, inserts): word, count\n"
            "    -> Project value || x AS word, g::bigint AS count\n"
            "      -> Table function unnest(ARRAY['a', 'b']) AS x, keeping value, g\n"
            "        -> Table function generate_series(1, n) AS g, keeping value\n"
            "          -> Source lines (kafka 't', format json): value, n\n");
}

TEST(PlannerTest, TakesTheAliasOfAFunctionForItsValue) {
  EXPECT_EQ(
      Explain("INSERT INTO out SELECT item ->> 'a' FROM lines, jsonb_array_elements(j) AS item "
              "WHERE item.value IS NOT NULL"),
      "Stage 0: a task per split of lines\n"
      "  -> Sink out (file 'o', format raw, inserts): a\n"
      "    -> Project value ->> 'a' AS a\n"
      "      -> Filter value IS NOT NULL\n"
      "        -> Table function jsonb_array_elements(j) AS value\n"
      "          -> Source lines (kafka 't', format json): j\n");
}

TEST(PlannerTest, MovesASetReturningFunctionOfTheSelectListToFrom) {
  EXPECT_EQ(Explain("INSERT INTO counts SELECT regexp_split_to_table(value, ' ') AS word, count(*) "
                    "FROM lines GROUP BY word"),
            "Stage 1: a task per keyed shard\n"
            "  -> Sink counts (print, changes): word, count\n"
            "    -> Final aggregate by regexp_split_to_table, running: count(*)\n"
            "      -> Exchange 0 from stage 0\n"
            "Stage 0: a task per split of lines\n"
            "  -> Exchange 0 by regexp_split_to_table\n"
            "    -> Partial aggregate by regexp_split_to_table: count(*)\n"
            "      -> Table function regexp_split_to_table(value, ' ') AS regexp_split_to_table\n"
            "        -> Source lines (kafka 't', format json): value\n");
}

TEST(PlannerTest, BindsExpressionsAsPostgresDoes) {
  const auto bound = [](const std::string& expr) {
    const std::string text = Explain(
        "CREATE TABLE shown (x text) WITH (connector = 'print'); INSERT INTO shown SELECT (" +
        expr + ")::text FROM lines");
    const size_t begin = text.find("Project ") + 8;
    return text.substr(begin, text.find(" AS x", begin) - begin);
  };
  EXPECT_EQ(bound("n BETWEEN 1 AND 3"), "((n >= 1) AND (n <= 3))::text");
  EXPECT_EQ(bound("n NOT BETWEEN 1 AND 3"), "((n < 1) OR (n > 3))::text");
  EXPECT_EQ(bound("value IN ('a', 'b')"), "(value IN ('a', 'b'))::text");
  EXPECT_EQ(bound("n NOT IN (1, 2)"), "(NOT (n IN (1, 2)))::text");
  EXPECT_EQ(bound("n IN (1, 3000000000)"), "(n::bigint IN (1, 3000000000))::text");
  EXPECT_EQ(bound("n IN (f, 1, 2)"), "((n IN (1, 2)) OR (n::double precision IN (f)))::text");
  EXPECT_EQ(bound("n = ANY (ARRAY[1, 2])"), "(n IN (1, 2))::text");
  EXPECT_EQ(bound("n IS DISTINCT FROM 3"), "(n IS DISTINCT FROM 3)::text");
  EXPECT_EQ(bound("n IS DISTINCT FROM f"), "(n::double precision IS DISTINCT FROM f)::text");
  EXPECT_EQ(bound("n IS NOT DISTINCT FROM NULL"), "(NOT (n IS NOT NULL))::text");
  EXPECT_EQ(bound("(n > 1) IS NOT TRUE"), "(NOT ((n > 1) IS TRUE))::text");
  EXPECT_EQ(bound("(n > 1) IS UNKNOWN"), "((n > 1) IS NULL)::text");
  EXPECT_EQ(bound("CASE n WHEN 1 THEN 'a' WHEN 2 THEN value END"),
            "CASE WHEN n = 1 THEN 'a' WHEN n = 2 THEN value ELSE NULL END");
  EXPECT_EQ(bound("coalesce(n, f, 0)"),
            "COALESCE(n::double precision, f, '0'::double precision)::text");
  EXPECT_EQ(bound("nullif(n, 0)"), "NULLIF(n, 0)::text");
  EXPECT_EQ(bound("greatest(n, 2.5)"), "GREATEST(n::numeric, 2.5)::text");
  EXPECT_EQ(bound("value || n"), "value || n::text");
  EXPECT_EQ(bound("-n + 3"), "((- n) + 3)::text");
  EXPECT_EQ(bound("value LIKE 'a%' OR value NOT ILIKE 'b%'"),
            "((value LIKE 'a%') OR (value NOT ILIKE 'b%'))::text");
  EXPECT_EQ(bound("value ~ '^a'"), "(value ~ '^a')::text");
  EXPECT_EQ(bound("j ->> 'a'"), "j ->> 'a'");
  EXPECT_EQ(bound("trim(both 'x' from value)"), "btrim(value, 'x')");
  EXPECT_EQ(bound("substring(value from 2 for 3)"), "substring(value, 2, 3)");
  EXPECT_EQ(bound("position('a' in value)"), "position(value, 'a')::text");
  EXPECT_EQ(bound("extract(year from ts)"), "extract('year', ts)::text");
  EXPECT_EQ(bound("ts + interval '10' second"), "(ts + '00:00:10'::interval)::text");
  EXPECT_EQ(bound("current_timestamp"), "batch_time()::text");
  EXPECT_EQ(bound("cast(n as numeric(5,2))"), "n::numeric(5,2)::text");
}

TEST(PlannerTest, AssignsWithCastsAndMetadataColumns) {
  const PlannedScript script =
      Plan(absl::StrCat(kTables,
                        "CREATE TABLE sink (a smallint, b text) WITH (connector = 'kafka', topic = "
                        "'s', format = 'json');"
                        "INSERT INTO sink (_key, a) SELECT 'k', id FROM lines"));
  EXPECT_EQ(ExplainPlan(script.plan),
            "Stage 0: a task per split of lines\n"
            "  -> Sink sink (kafka 's', format json, inserts): a, b, _key\n"
            "    -> Project id::smallint AS a, NULL AS b, '\\x6b'::bytea AS _key\n"
            "      -> Source lines (kafka 't', format json): id\n");
}

TEST(PlannerTest, SkipsOrFailsAsTheTableSays) {
  const PlannedScript script = Plan(
      "CREATE TABLE s (value text) WITH (connector = 'file', path = 'p', on_error = 'skip');"
      "CREATE TABLE out (a text) WITH (connector = 'file', path = 'o');"
      "CREATE TABLE unused (a text) WITH (connector = 'file', path = 'o');"
      "INSERT INTO out SELECT value FROM s");
  EXPECT_EQ(script.plan.sources(0).on_error(), proto::ON_ERROR_SKIP);
  EXPECT_EQ(script.plan.sources(0).options().count("on_error"), 0u);
  EXPECT_EQ(script.notices, std::vector<std::string>{"table \"unused\" is not used"});
}

TEST(PlannerTest, SetsFailedRecordsAside) {
  // The error table may be created later, may be written by an INSERT too, and may serve several
  // sources.
  const PlannedScript script = Plan(
      "CREATE TABLE s (value text) WITH (connector = 'file', path = 'p', on_error = 'table:dead');"
      "CREATE TABLE t (value text) WITH (connector = 'file', path = 'q', on_error = 'table:dead');"
      "CREATE TABLE dead (error text, key text, value bytea) WITH (connector = 'print');"
      "INSERT INTO dead (error) SELECT value FROM s;"
      "INSERT INTO dead (error) SELECT value FROM t");
  const proto::JobPlan& plan = script.plan;
  ASSERT_EQ(plan.sinks_size(), 3);
  EXPECT_EQ(plan.sinks(2).table(), "dead");
  EXPECT_EQ(plan.sinks(2).mode(), proto::SINK_APPEND);
  EXPECT_FALSE(plan.sinks(2).keyed());
  for (const proto::Source& source : plan.sources()) {
    EXPECT_EQ(source.on_error(), proto::ON_ERROR_TABLE);
    EXPECT_EQ(source.error_sink(), 2u);
  }
  EXPECT_THAT(script.notices, ::testing::IsEmpty());
}

TEST(PlannerTest, ExplainsWhereFailedRecordsGo) {
  const PlannedScript script = Plan(
      "CREATE TABLE s (value text) WITH (connector = 'file', path = 'p', on_error = 'table:dead');"
      "CREATE TABLE dead (error text, \"offset\" bigint) WITH (connector = 'kafka', topic = 'd');"
      "CREATE TABLE out (a text) WITH (connector = 'file', path = 'o');"
      "EXPLAIN INSERT INTO out SELECT value FROM s");
  EXPECT_EQ(script.explain_text,
            "Stage 0: a task per split of s\n"
            "  -> Sink out (file 'o', inserts): a\n"
            "    -> Source s (file 'p'): value\n"
            "  -> Sink dead (kafka 'd', inserts): error, offset\n"
            "    -> Records of s that fail\n");
}

TEST(PlannerTest, LetsOverridesWin) {
  const std::string sql = absl::StrCat(
      kTables, "SET parallelism = 3; SET key_groups = 64; INSERT INTO out SELECT value FROM lines");
  EXPECT_EQ(Plan(sql).plan.parallelism(), 3u);
  const proto::JobPlan plan = Plan(sql, {{"parallelism", "5"}}).plan;
  EXPECT_EQ(plan.parallelism(), 5u);
  EXPECT_EQ(plan.key_groups(), 64u);
  EXPECT_EQ(plan.settings().at("parallelism"), "5");
}

TEST(PlannerTest, ExplainsInsteadOfRunning) {
  const PlannedScript script = Plan(absl::StrCat(
      kTables, "EXPLAIN SELECT value, n FROM lines; INSERT INTO out SELECT value FROM lines"));
  EXPECT_TRUE(script.explain_only);
  EXPECT_EQ(script.explain_text,
            "Stage 0: a task per split of lines\n"
            "  -> Sink result (explain, inserts): value, n\n"
            "    -> Source lines (kafka 't', format json): value, n\n");
  EXPECT_EQ(script.plan.sinks_size(), 1);
}

}  // namespace
}  // namespace millrace::sql
