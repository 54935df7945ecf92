// What the front end refuses: the position and the text of each error.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sql/planner.h"
#include "sql/testing/fake_connectors.h"

namespace millrace::sql {
namespace {

// Line 1 of every script; what is tested begins on line 2.
constexpr char kTables[] =
    "CREATE TABLE lines (value text, n int, f float8, ts timestamptz, j jsonb) WITH (connector = "
    "'kafka', topic = 't', "
    "format = 'raw'); CREATE TABLE other (value text) WITH (connector = 'file', path = 'p', format "
    "= 'raw'); "
    "CREATE TABLE out (a text) WITH (connector = 'file', path = 'p', format = 'raw'); "
    "CREATE TABLE shown (a text, b bigint) WITH (connector = 'print'); "
    "CREATE TABLE keyed (k text, v bigint, PRIMARY KEY (k)) WITH (connector = 'kafka', topic = "
    "'t', format = 'raw');\n";

struct Refusal {
  std::string sql;
  int line;
  int column;
  std::string words;
};

std::string Refuse(const std::string& sql) {
  const std::unique_ptr<ConnectorRegistry> connectors = MakeFakeConnectors();
  const absl::StatusOr<PlannedScript> script =
      PlanScript(sql, {.connectors = connectors.get(), .functions = &FunctionRegistry::BuiltIn()});
  if (script.ok()) {
    return "accepted";
  }
  EXPECT_EQ(script.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(script.status().message());
}

void ExpectRefusals(const std::vector<Refusal>& refusals) {
  for (const Refusal& refusal : refusals) {
    const std::string message = Refuse(absl::StrCat(kTables, refusal.sql));
    EXPECT_TRUE(absl::StartsWith(
        message, absl::StrCat("line ", refusal.line, ", column ", refusal.column, ": ")))
        << refusal.sql << "\n"
        << message;
    EXPECT_TRUE(absl::StrContains(message, refusal.words)) << refusal.sql << "\n" << message;
  }
}

// A source with that on_error, made before the tables that follow it.
std::string WithErrorTable(const std::string& name, const std::string& tables = "") {
  return absl::StrCat(
      "CREATE TABLE t (a text) WITH (connector = 'kafka', topic = 'a', on_error = 'table:", name,
      "');", tables, "INSERT INTO out SELECT a FROM t");
}

TEST(RefusalsTest, TablesThatCannotTakeFailedRecords) {
  ExpectRefusals(
      {{WithErrorTable("dead", "CREATE TABLE dad (error text) WITH (connector = 'print');"), 2, 65,
        "table \"dead\" does not exist; did you mean \"dad\""},
       {WithErrorTable("t"), 2, 65, "cannot take its own failed records"},
       {WithErrorTable("v", "CREATE VIEW v AS SELECT value FROM lines;"), 2, 65,
        "\"v\" is a view and cannot be written"},
       {WithErrorTable("dead",
                       "CREATE TABLE dead (error text, reason text) WITH (connector = 'print');"),
        2, 65,
        "they have no column \"reason\", only \"error\" text, \"topic\" text, \"partition\" "
        "integer, "
        "\"offset\" bigint, \"timestamp\" timestamp with time zone, \"key\" bytea or text, "
        "\"value\" bytea or "
        "text"},
       {WithErrorTable("dead", "CREATE TABLE dead (\"offset\" int) WITH (connector = 'print');"), 2,
        65, "its column \"offset\" must be of type bigint, not integer"},
       {WithErrorTable("dead", "CREATE TABLE dead (value jsonb) WITH (connector = 'print');"), 2,
        65, "its column \"value\" must be of type bytea or text, not jsonb"},
       {WithErrorTable("dead",
                       "CREATE TABLE dead (topic text, error text, PRIMARY KEY (topic)) WITH "
                       "(connector = 'kafka', topic = 'd');"),
        2, 65, "it has a PRIMARY KEY"},
       // Its own options are checked as those of any sink.
       {WithErrorTable("dead", "CREATE TABLE dead (error text) WITH (connector = 'kafka');"), 2,
        121, "connector kafka needs option \"topic\""}});
}

TEST(RefusalsTest, ShowsTheLineWithACaret) {
  EXPECT_EQ(Refuse("CREATE TABLE lines (word text) WITH (connector = 'kafka', topic = 't');\n"
                   "CREATE TABLE shown (a text) WITH (connector = 'print');\n"
                   "INSERT INTO shown\n"
                   "  SELECT wrd FROM lines"),
            "line 4, column 10: column \"wrd\" does not exist; did you mean \"word\"?\n"
            "    SELECT wrd FROM lines\n"
            "           ^");
}

TEST(RefusalsTest, CountsCharactersNotBytes) {
  EXPECT_EQ(Refuse("CREATE TABLE l (w text) WITH (connector = 'kafka', topic = 't');\n"
                   "CREATE TABLE s (a text) WITH (connector = 'print');\n"
                   "INSERT INTO s SELECT 'äöü' || x FROM l"),
            "line 3, column 31: column \"x\" does not exist\n"
            "  INSERT INTO s SELECT 'äöü' || x FROM l\n"
            "                                ^");
}

TEST(RefusalsTest, Syntax) {
  ExpectRefusals({
      {"SELECT '\xFC'", 2, 9, "the script is not UTF-8"},
      {"INSERT INTO out SELEC value FROM lines", 2, 17, "syntax error at or near \"SELEC\""},
      {"INSERT INTO out SELECT 'é' value FROM )", 2, 39, "syntax error at or near \")\""},
      {"INSERT INTO out SELECT value FROM lines WHERE 'x", 2, 47, "unterminated quoted string"},
  });
}

TEST(RefusalsTest, Statements) {
  ExpectRefusals({
      {"SELECT value FROM lines", 2, 1, "SELECT outside of INSERT"},
      {"CREATE MATERIALIZED VIEW v AS SELECT value FROM lines", 2, 1,
       "CREATE MATERIALIZED VIEW is not supported yet"},
      {"CREATE TABLE x AS SELECT value FROM lines", 2, 1, "CREATE TABLE … AS is not supported yet"},
      {"  UPDATE out SET a = 'x'", 2, 3, "UPDATE is not supported yet"},
      {"DELETE FROM out", 2, 1, "DELETE is not supported yet"},
      {"DROP TABLE out", 2, 1, "DROP is not supported yet"},
      {"INSERT INTO out VALUES ('x')", 2, 17, "INSERT … VALUES is not supported yet"},
      {"INSERT INTO out SELECT value FROM lines RETURNING a", 2, 1, "RETURNING"},
      {"INSERT INTO out SELECT value FROM lines ON CONFLICT DO NOTHING", 2, 1, "ON CONFLICT"},
      {"EXPLAIN ANALYZE INSERT INTO out SELECT value FROM lines", 2, 1,
       "EXPLAIN (analyze) is not supported yet"},
  });
}

TEST(RefusalsTest, ClausesOfSelect) {
  ExpectRefusals({
      {"INSERT INTO out SELECT value FROM lines JOIN other ON true", 2, 41,
       "JOIN between tables is not supported yet"},
      {"INSERT INTO out SELECT lines.value FROM lines, other", 2, 48, "a JOIN between tables"},
      {"INSERT INTO out SELECT value FROM lines UNION ALL SELECT value FROM other", 2, 41,
       "UNION is not supported yet"},
      {"INSERT INTO out SELECT value FROM lines EXCEPT SELECT value FROM other", 2, 41,
       "EXCEPT is not supported yet"},
      {"INSERT INTO out SELECT value FROM lines ORDER BY value", 2, 41,
       "ORDER BY is not supported yet"},
      {"INSERT INTO out SELECT value FROM lines LIMIT 3", 2, 41, "LIMIT is not supported yet"},
      {"INSERT INTO out SELECT value FROM lines OFFSET 3", 2, 41, "OFFSET is not supported yet"},
      {"INSERT INTO out SELECT DISTINCT ON (n) value FROM lines", 2, 24,
       "DISTINCT ON is not supported yet"},
      {"INSERT INTO out SELECT row_number() OVER () FROM lines", 2, 24,
       "a window function (row_number() OVER …)"},
      {"INSERT INTO out SELECT value FROM lines WHERE n IN (SELECT 1)", 2, 49,
       "a subquery in an expression"},
      {"INSERT INTO out SELECT value FROM lines WHERE EXISTS (SELECT 1)", 2, 47,
       "a subquery in an expression"},
      {"INSERT INTO out SELECT value FROM lines GROUP BY ROLLUP (value)", 2, 50,
       "GROUPING SETS, ROLLUP and CUBE"},
      {"INSERT INTO out WITH RECURSIVE r AS (SELECT 1) SELECT value FROM lines", 2, 17,
       "WITH RECURSIVE"},
      {"INSERT INTO out SELECT 'x'", 2, 17, "needs a table in FROM"},
      {"INSERT INTO out SELECT x FROM generate_series(1, 3) AS x", 2, 31, "needs a table in FROM"},
      {"INSERT INTO out SELECT value FROM tumble(lines, ts, interval '10' second)", 2, 35,
       "a time window (tumble)"},
      {"INSERT INTO out SELECT w FROM lines RIGHT JOIN LATERAL upper(value) w ON true", 2, 43,
       "RIGHT and FULL JOIN"},
  });
}

TEST(RefusalsTest, Names) {
  ExpectRefusals({
      {"INSERT INTO out SELECT value FROM line", 2, 35,
       "table \"line\" does not exist; did you mean \"lines\"?"},
      {"INSERT INTO ot SELECT value FROM lines", 2, 13,
       "table \"ot\" does not exist; did you mean \"out\"?"},
      {"INSERT INTO out SELECT vlaue FROM lines", 2, 24,
       "column \"vlaue\" does not exist; did you mean \"value\"?"},
      {"INSERT INTO out SELECT l.value FROM lines", 2, 24,
       "missing FROM-clause entry for table \"l\""},
      {"INSERT INTO out SELECT lines.x FROM lines", 2, 24, "column lines.x does not exist"},
      {"INSERT INTO out (b) SELECT value FROM lines", 2, 18,
       "column \"b\" of table \"out\" does not exist"},
      {"INSERT INTO out (a, a) SELECT value, value FROM lines", 2, 21, "specified more than once"},
      {"INSERT INTO out SELECT uper(value) FROM lines", 2, 24, "did you mean \"upper\"?"},
      {"INSERT INTO out SELECT s.value FROM s.lines", 2, 37, "schemas are not supported"},
      {"INSERT INTO out SELECT value FROM lines, unnest(ARRAY['a']) AS value", 2, 24, "ambiguous"},
      {"CREATE TABLE out (a text) WITH (connector = 'print')", 2, 14, "\"out\" already exists"},
      {"CREATE VIEW v AS SELECT value FROM lines; INSERT INTO v SELECT value FROM lines", 2, 55,
       "is a view"},
  });
}

TEST(RefusalsTest, Types) {
  ExpectRefusals({
      {"INSERT INTO out SELECT value + 1 FROM lines", 2, 30,
       "operator does not exist: text + integer"},
      {"INSERT INTO out SELECT value FROM lines WHERE n", 2, 47,
       "argument of WHERE must be type boolean, not type integer"},
      {"INSERT INTO out SELECT value FROM lines WHERE n = 'x'", 2, 51,
       "invalid input syntax for type integer: \"x\""},
      {"INSERT INTO out SELECT '2024-99-01'::date::text FROM lines", 2, 24, "date"},
      {"INSERT INTO out SELECT CASE WHEN true THEN n ELSE 'x' END::text FROM lines", 2, 51,
       "invalid input syntax"},
      {"INSERT INTO out SELECT coalesce(n, value)::text FROM lines", 2, 36,
       "COALESCE types integer and text cannot be matched"},
      {"INSERT INTO shown SELECT value, ts FROM lines", 2, 33,
       "column \"b\" is of type bigint but expression is of type timestamp with time zone"},
      {"INSERT INTO shown SELECT value, value FROM lines", 2, 33,
       "is of type bigint but expression is of type text"},
      {"INSERT INTO shown SELECT value, n, n FROM lines", 2, 36,
       "INSERT has more expressions than target columns"},
      {"INSERT INTO shown (a, b) SELECT value FROM lines", 2, 23,
       "INSERT has more target columns than expressions"},
      {"INSERT INTO out SELECT j::date::text FROM lines", 2, 24, "cannot cast type jsonb to date"},
      {"INSERT INTO out SELECT ARRAY[1, 'x'] FROM lines", 2, 33,
       "invalid input syntax for type integer"},
      {"INSERT INTO out SELECT ARRAY[] FROM lines", 2, 24, "type of an empty array is unknown"},
      {"INSERT INTO out SELECT value::varchar(3) FROM lines", 2, 31,
       "the modifier of type varchar"},
      {"INSERT INTO out SELECT value::money FROM lines", 2, 31, "type \"money\" is not supported"},
      {"INSERT INTO out SELECT (1/0)::text FROM lines", 2, 26, "division by zero"},
      {"INSERT INTO out SELECT value FROM lines WHERE value ~ '('", 2, 53, ""},
      {"INSERT INTO out SELECT value FROM lines WHERE value SIMILAR TO '('", 2, 53,
       "parentheses () not balanced"},
  });
}

TEST(RefusalsTest, Expressions) {
  ExpectRefusals({
      {"INSERT INTO out SELECT value FROM lines WHERE (n, n) = (1, 2)", 2, 47,
       "a row constructor is not supported yet"},
      {"INSERT INTO out SELECT value COLLATE \"C\" FROM lines", 2, 30,
       "COLLATE is not supported yet"},
      {"INSERT INTO out SELECT $1 FROM lines", 2, 24, "a parameter is not supported yet"},
      {"INSERT INTO out SELECT B'101' FROM lines", 2, 24, "a bit string is not supported yet"},
      {"INSERT INTO out SELECT unnest(ARRAY['a']) || 'b' FROM lines", 2, 24,
       "set-returning function unnest is supported"},
      {"INSERT INTO shown SELECT unnest(ARRAY['a']), unnest(ARRAY[1]) FROM lines", 2, 46,
       "a second set-returning function"},
      {"INSERT INTO out SELECT clock_timestamp()::text FROM lines", 2, 24, "use batch_time()"},
      {"INSERT INTO out SELECT value FROM lines WHERE n = ANY (ARRAY[n] || n)", 2, 49,
       "ANY and ALL"},
  });
}

// An expression that would fail at every record is refused before the first one.
TEST(RefusalsTest, ConstantsThatCannotBeRight) {
  const auto of = [](const std::string& expr) {
    return absl::StrCat("INSERT INTO out SELECT (", expr, ")::text FROM lines");
  };
  ExpectRefusals({
      {of("ts AT TIME ZONE 'Europe/Atlantis'"), 2, 28,
       "time zone \"Europe/Atlantis\" not recognized"},
      {of("ts AT TIME ZONE interval '1 month'"), 2, 28, "must not include months or days"},
      {of("timezone(interval '1 day', ts::timestamp)"), 2, 25, "must not include months or days"},
      {of("date_trunc('day', ts, 'Nowhere')"), 2, 25, "time zone \"Nowhere\" not recognized"},
      {of("date_trunc('fortnight', ts)"), 2, 25, "unit \"fortnight\" not recognized"},
      {of("date_trunc('fortnight', n * interval '1 day')"), 2, 25, "not recognized"},
      {of("extract(moon FROM ts)"), 2, 25, "unit \"moon\" not recognized"},
      {of("date_part('timezone', ts::timestamp)"), 2, 25, "unit \"timezone\" not supported"},
      {of("date_bin('1 month', ts, '2024-01-01')"), 2, 25, "months or years"},
      {of("date_bin('0 s', ts, '2024-01-01')"), 2, 25, "stride must be greater than zero"},
      {of("to_char(n, '9.9.9')"), 2, 25, "multiple decimal points"},
      {of("to_char(n * interval '1 s', 'Month')"), 2, 25, "invalid format specification"},
      {of("to_timestamp(value, 'YYYY IW')"), 2, 25, "invalid combination of date conventions"},
      {of("to_date(value, 'YYYY TZ')"), 2, 25, "only supported in to_char"},
      {of("to_number(value, 'RN')"), 2, 25, "\"RN\" not supported for input"},
      {of("encode(value::bytea, 'base65')"), 2, 25, "unrecognized encoding: \"base65\""},
      {of("overlay(value PLACING 'x' FROM 0)"), 2, 25, "negative substring length not allowed"},
      {of("width_bucket(n, 5, 5, 10)"), 2, 25, "lower bound cannot equal upper bound"},
      {of("width_bucket(n::double precision, 1, 1.0, 10)"), 2, 25, "lower bound cannot equal"},
      {of("width_bucket(n, 1, 5, 0)"), 2, 25, "count must be greater than zero"},
      {of("split_part(value, ',', 0)"), 2, 25, "field position must not be zero"},
      {of("n / 0"), 2, 27, "division by zero"},
      {of("n % 0"), 2, 27, "division by zero"},
      {of("value ~ '('"), 2, 31, "invalid regular expression"},
      {of("'x'::int + n"), 2, 25, "invalid input syntax for type integer"},
      {of("'2024-02-30'::date"), 2, 25, "date/time field value out of range"},
      {of("ts > '2024-01-01 Nowhere/Land'"), 2, 30, "time zone \"nowhere/land\" not recognized"},
      {"INSERT INTO out SELECT value FROM lines, generate_series(1, n, 0)", 2, 42,
       "step size cannot equal zero"},
      {"SET timezone = 'Mars'; INSERT INTO out SELECT value FROM lines", 2, 16, "'Mars'"},
  });
  // In a branch that only some rows reach, perhaps none, names must be right all the same, but a
  // number need not.
  EXPECT_EQ(Refuse(absl::StrCat(kTables, of("CASE WHEN n > 0 THEN 1 ELSE 1 / 0 END"))), "accepted");
  EXPECT_EQ(Refuse(absl::StrCat(kTables, of("CASE WHEN n > 0 THEN 1 ELSE n / 0 END"))), "accepted");
  EXPECT_NE(Refuse(absl::StrCat(kTables, of("CASE WHEN n > 0 THEN date_trunc('x', ts) END"))),
            "accepted");
}

TEST(RefusalsTest, Aggregates) {
  ExpectRefusals({
      {"INSERT INTO shown SELECT value, count(*) FROM lines", 2, 26,
       "column \"lines.value\" must appear in the GROUP BY clause or be used in an aggregate "
       "function"},
      {"INSERT INTO shown SELECT value, n FROM lines GROUP BY value", 2, 33,
       "column \"lines.n\" must appear"},
      {"INSERT INTO shown SELECT value, count(DISTINCT n) FROM lines GROUP BY value", 2, 33,
       "DISTINCT in an aggregate"},
      {"INSERT INTO shown SELECT value, count() FROM lines GROUP BY value", 2, 33, "count(*)"},
      {"INSERT INTO shown SELECT value, sum(count(*)) FROM lines GROUP BY value", 2, 37,
       "is not allowed in the arguments"},
      {"INSERT INTO shown SELECT value, 1 FROM lines WHERE count(*) > 1", 2, 52,
       "is not allowed in WHERE"},
      {"INSERT INTO shown SELECT value, count(*) FROM lines GROUP BY count(*)", 2, 62,
       "is not allowed in GROUP BY"},
      {"INSERT INTO shown SELECT value, count(*) FROM lines GROUP BY 2", 2, 33,
       "not allowed in GROUP BY"},
      {"INSERT INTO shown SELECT value, count(*) FROM lines GROUP BY 3", 2, 62,
       "GROUP BY position 3"},
      {"INSERT INTO shown SELECT 'x', count(*) FROM lines GROUP BY string_to_array(value, ',')", 2,
       60, "array"},
      {"INSERT INTO out SELECT string_agg(value, ',' ORDER BY value) FROM lines", 2, 24,
       "ORDER BY in an aggregate"},
      {"INSERT INTO out SELECT upper(DISTINCT value) FROM lines", 2, 24,
       "upper is not an aggregate function"},
  });
}

TEST(RefusalsTest, RetractionsAndTime) {
  ExpectRefusals({
      {"INSERT INTO out SELECT count(*)::text FROM lines GROUP BY value", 2, 13,
       "Declare a PRIMARY KEY on the table, or add batch_time() to GROUP BY"},
      {"CREATE VIEW c AS SELECT value, count(*) AS n FROM lines GROUP BY value;\n"
       "INSERT INTO shown SELECT string_agg(value, ','), n FROM c GROUP BY n",
       3, 19, "string_agg() cannot take back"},
      {"INSERT INTO shown SELECT now()::text, count(*) FROM lines GROUP BY value", 2, 26,
       "batch_time() and now()"},
      {"CREATE VIEW c AS SELECT value, count(*) AS n FROM lines GROUP BY value;\n"
       "INSERT INTO shown SELECT value, n FROM c WHERE now() > '2024-01-01'",
       3, 48, "batch_time() and now()"},
      {"INSERT INTO out SELECT value FROM lines WHERE ts > now() - interval '1 hour'", 2, 52,
       "is temporal"},
      {"INSERT INTO shown SELECT value, count(*) FILTER (WHERE ts > now()) FROM lines GROUP BY "
       "value",
       2, 61, "is temporal"},
  });
}

TEST(RefusalsTest, Tables) {
  ExpectRefusals({
      {"CREATE TABLE t (a text)", 2, 14,
       "has no connector: tables held by the engine are not supported yet"},
      {"CREATE TABLE t (a money) WITH (connector = 'print')", 2, 19,
       "type \"money\" is not supported"},
      {"CREATE TABLE t (a text[]) WITH (connector = 'print')", 2, 19,
       "type text[] is not supported for a table's column"},
      {"CREATE TABLE t (a numeric(1001, 2)) WITH (connector = 'print')", 2, 19,
       "NUMERIC precision 1001 must be between 1 and 1000"},
      {"CREATE TABLE t (a numeric(5, -1001)) WITH (connector = 'print')", 2, 19,
       "NUMERIC scale -1001 must be between -1000 and 1000"},
      {"CREATE TABLE t (a text NOT NULL) WITH (connector = 'print')", 2, 24,
       "NOT NULL is not supported yet"},
      {"CREATE TABLE t (a text DEFAULT 'x') WITH (connector = 'print')", 2, 24,
       "DEFAULT is not supported yet"},
      {"CREATE TABLE t (a text, a int) WITH (connector = 'print')", 2, 25, "declared twice"},
      {"CREATE TABLE t (a text, PRIMARY KEY (b)) WITH (connector = 'print')", 2, 25,
       "names column \"b\""},
      {"CREATE TABLE t (a text) WITH (connector = 'prnt')", 2, 31, "no source connector \"prnt\""},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', format = 'xml')", 2, 52,
       "no format \"xml\""},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', on_error = 'table:')", 2, 52,
       "on_error must be 'fail', 'skip' or 'table:NAME', not 'table:'"},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', on_error = 'ignore')", 2, 52,
       "must be 'fail', 'skip' or 'table:NAME', not 'ignore'"},
      {"CREATE TABLE t (a text) WITH (connector = 'print', on_error = 'skip'); INSERT INTO t "
       "SELECT value FROM lines",
       2, 52, "option on_error is for tables that are read, and table \"t\" is only written"},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', watermark = 'ts')", 2, 52,
       "option \"watermark\" is not supported yet"},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', late = 'drop')", 2, 52,
       "option \"late\" is not supported yet"},
      {"CREATE TABLE t (a text) WITH (connector = 'print', emit = 'final')", 2, 52,
       "option \"emit\" is not supported yet"},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', topic = 'a', topic = 'b')", 2, 65,
       "given twice"},
      {"CREATE TABLE t (_key text) WITH (connector = 'kafka', topic = 'a')", 2, 14,
       "hidden column"},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', topc = 'a'); INSERT INTO out SELECT a "
       "FROM t",
       2, 25, "table \"t\": connector kafka needs option \"topic\""},
      {"CREATE TABLE t (a text) WITH (connector = 'kafka', topic = 'a', grup = 'b'); INSERT INTO "
       "out SELECT a FROM t",
       2, 65, "unknown option \"grup\""},
      {"INSERT INTO out SELECT k FROM keyed", 1, 404, "read as a source"},
      {"INSERT INTO out SELECT a FROM shown", 2, 31, "table \"shown\" cannot be read"},
      {"INSERT INTO keyed (v) SELECT n FROM lines", 2, 13, "is in the PRIMARY KEY"},
      {"CREATE TABLE t (a text PRIMARY KEY) WITH (connector = 'file', path = 'p'); INSERT INTO t "
       "SELECT value FROM lines",
       2, 24, "does not take rows by PRIMARY KEY"},
  });
}

TEST(RefusalsTest, Settings) {
  ExpectRefusals({
      {"SET batch_duraton = '2 s'", 2, 5, "batch_duration"},
      {"SET batch_duration = 'soon'", 2, 22, "soon"},
      {"SET parallelism = 1, 2", 2, 5, "SET takes one constant"},
  });
}

TEST(RefusalsTest, ScriptsWithNothingToRun) {
  EXPECT_EQ(Refuse(""), "the script has no INSERT INTO … SELECT, so there is nothing to run");
  EXPECT_EQ(Refuse("-- nothing\n"),
            "the script has no INSERT INTO … SELECT, so there is nothing to run");
}

TEST(RefusalsTest, ExpressionsThatNestTooDeeply) {
  std::string deep = "n";
  for (int i = 0; i < 60; ++i) {
    deep = absl::StrCat("(", deep, " + n)");
  }
  EXPECT_TRUE(absl::StrContains(
      Refuse(absl::StrCat(kTables, "INSERT INTO shown SELECT 'x', ", deep, " FROM lines")),
      "nested more than 40 levels"));
  std::string hostile = "n";
  for (int i = 0; i < 3000; ++i) {
    hostile = absl::StrCat("- ", hostile);
  }
  EXPECT_TRUE(absl::StrContains(
      Refuse(absl::StrCat(kTables, "INSERT INTO shown SELECT 'x', ", hostile, " FROM lines")),
      "nested too deeply"));
}

// Views over views over views: 10,000 of them, half a megabyte of text, used to take 20 GB.
TEST(RefusalsTest, ViewsOverViewsEndSomewhere) {
  std::string script = absl::StrCat(kTables, "CREATE VIEW v0 AS SELECT n FROM lines;\n");
  for (int i = 1; i <= 400; ++i) {
    absl::StrAppend(&script, "CREATE VIEW v", i, " AS SELECT n + 1 AS n FROM v", i - 1,
                    " WHERE n > 1;\n");
  }
  const std::string message =
      Refuse(absl::StrCat(script, "INSERT INTO shown SELECT 'x', n FROM v400"));
  EXPECT_TRUE(absl::StrContains(message, "more than 500 steps")) << message;
  EXPECT_TRUE(absl::StrContains(message, "line 2")) << message;
}

// PostgreSQL's parser makes a level of each operator; walking 30,000 of them ended the driver.
TEST(RefusalsTest, AnExpressionOfManyOperatorsDoesNotOverflowTheStack) {
  std::string chain = "n";
  for (int i = 0; i < 200'000; ++i) {
    chain += "+n";
  }
  EXPECT_TRUE(absl::StrContains(
      Refuse(absl::StrCat(kTables, "INSERT INTO shown SELECT 'x', ", chain, " FROM lines")),
      "too long to read"));
  std::string list = "1";
  for (int i = 2; i < 20'000; ++i) {
    absl::StrAppend(&list, ", ", i);
  }
  EXPECT_FALSE(absl::StrContains(
      Refuse(
          absl::StrCat(kTables, "INSERT INTO shown SELECT x FROM lines WHERE n IN (", list, ")")),
      "too long to read"))
      << "a list is no deeper than its elements";
}

}  // namespace
}  // namespace millrace::sql
