#!/usr/bin/env python3
"""Writes what PostgreSQL 15 answers into the tests' files: all, or those that are named.

  tests/logic/refresh_from_postgres.py [--check] [FILE.slt | FILE.txt ...]

Starts a server of its own in a temporary directory (socket only, no port; Debian's package postgresql-15). With --check
nothing is written: the exit code says whether the files are as PostgreSQL would have them.

FILE.slt (tests/logic/cases): runs every query, and puts the sorted rows, in the text form of COPY, under its ---- line.
A query that is to fail must fail there too.

FILE.txt (common/expr/testdata): a line is `expression => answer`; only what stands left of ` => ` is read, and a line
without it is a new expression. `rows of f(...)` asks for the rows of a table function, joined as an array. Answers are
text as psql prints it, NULL, or `ERROR: message`. Lines that begin with # and empty ones stay.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EXPRESSIONS = HERE.parent.parent / "common" / "expr" / "testdata"
BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
# What PostgreSQL lacks: with one batch, its time is as good as any.
PRELUDE = """
SET TIME ZONE 'UTC'; SET extra_float_digits = 1; SET bytea_output = 'hex'; SET IntervalStyle = 'postgres';
CREATE FUNCTION batch_time() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';
CREATE FUNCTION kafka_header(headers jsonb, name text) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$SELECT coalesce(one ->> 'value', one ->> 'bytes')
    FROM jsonb_array_elements(CASE jsonb_typeof(headers) WHEN 'array' THEN headers ELSE '[]' END) WITH ORDINALITY t (one, i)
    WHERE one ->> 'key' = name ORDER BY i DESC LIMIT 1$$;
"""
EXPRESSION_PRELUDE = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; "
    "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET standard_conforming_strings = on;"
)
ROWS = "rows of "
QUERY = re.compile(r"query (?P<columns>\(.*\))(?: error (?P<error>.+))?$")


class Server:
    """PostgreSQL for the life of a with block. As root it runs as user postgres, since it refuses root."""

    def __enter__(self):
        if not (BIN / "initdb").exists():
            sys.exit(f"there is no {BIN / 'initdb'}; as root, run: apt-get install postgresql-15")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-pg"))
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        self._as_postgres(BIN / "initdb", "-D", self.directory / "data", "-E", "UTF8", "--locale=C.UTF-8", "-A",
                          "trust", "-U", "postgres", "--no-sync")
        self._as_postgres(BIN / "pg_ctl", "-D", self.directory / "data", "-l", self.directory / "log", "-w", "start",
                          "-o", f"-c listen_addresses='' -c unix_socket_directories={self.directory} -c fsync=off")
        return self

    def __exit__(self, *exception):
        self._as_postgres(BIN / "pg_ctl", "-D", self.directory / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.directory)

    def _as_postgres(self, *command):
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run([*prefix, *map(str, command)], cwd="/", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")

    def run(self, sql):
        """(output, None) or (None, error) of a script, in a schema of its own."""
        done = subprocess.run(
            ["psql", "-h", self.directory, "-U", "postgres", "-d", "postgres", "-X", "-q", "-v", "ON_ERROR_STOP=1",
             "-f", "-"],
            input=f"CREATE SCHEMA slt; SET search_path = slt, public; {PRELUDE}\n{sql}\n", capture_output=True,
            text=True, check=False)
        subprocess.run(["psql", "-h", self.directory, "-U", "postgres", "-X", "-q", "-c", "DROP SCHEMA slt CASCADE"],
                       capture_output=True, check=True)
        return (done.stdout, None) if done.returncode == 0 else (None, done.stderr)

    def ask(self, expressions):
        """The answers in one session; an error is the answer of its expression."""
        separator = "@@millrace@@"
        lines = [EXPRESSION_PRELUDE, "\\set VERBOSITY terse"]
        for expression in expressions:
            lines += [f"\\echo {separator}", select(expression) + " \\g"]
        lines.append(f"\\echo {separator}")
        done = subprocess.run(
            ["psql", "-h", self.directory, "-U", "postgres", "-d", "postgres", "-X", "-q", "-A", "-t",
             "-P", "null=NULL"],
            input="\n".join(lines), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
        answers = done.stdout.split(separator + "\n")[1:-1]
        if len(answers) != len(expressions):
            sys.exit(f"{len(expressions)} expressions, but {len(answers)} answers")
        return [clean(answer.removesuffix("\n")) for answer in answers]


def blocks(text):
    """The paragraphs of a file as lists of lines."""
    return [paragraph.split("\n") for paragraph in re.split(r"\n\n+", text.rstrip("\n"))]


def copy_table(block):
    """SQL that makes and fills a table from `table NAME (COLUMNS)` and its CSV lines."""
    declaration = block[0].removeprefix("table ")
    name = declaration.split(" ", 1)[0]
    rows = "".join(line + "\n" for line in block[1:])
    return f"CREATE TABLE {declaration};\nCOPY {name} FROM stdin (FORMAT csv);\n{rows}\\.\n"


def split_query(block):
    """(index of the head line, the query's text) of a query block; comments stand before the head."""
    head = next(i for i, line in enumerate(block) if not line.startswith("#"))
    end = block.index("----") if "----" in block else len(block)
    return head, "\n".join(block[head + 1:end])


def select(expression):
    if expression.startswith(ROWS):
        return f"SELECT coalesce(array_agg(t::text)::text, '{{}}') FROM {expression[len(ROWS):]} AS t"
    return f"SELECT {expression}"


def clean(answer):
    first = answer.split("\n")[0]
    if "ERROR:  " in first:
        return "ERROR: " + first.split("ERROR:  ", 1)[1].split(" at character ")[0]
    return answer.replace("\\", "\\\\").replace("\n", "\\n")


def refresh_expressions(server, text):
    """(the new text of a file of expressions, no complaints)."""
    lines = text.splitlines()
    asked = [i for i, line in enumerate(lines) if line and not line.startswith("#")]
    expressions = [lines[i].split(" => ")[0] for i in asked]
    for i, expression, answer in zip(asked, expressions, server.ask(expressions)):
        lines[i] = f"{expression} => {answer}"
    return "\n".join(lines) + "\n", []


def refresh_cases(server, text):
    """(the new text of a file of queries, complaints)."""
    setup, result, complaints = "", [], []
    for block in blocks(text):
        code = [line for line in block if not line.startswith("#")]
        if code and code[0].startswith("table "):
            setup += copy_table(code)
        elif code and code[0] == "statement ok":
            setup += "\n".join(code[1:]) + ";\n"
        elif code and code[0].startswith("query "):
            block, complaint = refresh_query(server, setup, block)
            complaints += complaint
        result.append("\n".join(block))
    return "\n\n".join(result) + "\n", complaints


def refresh_query(server, setup, block):
    head, sql = split_query(block)
    match = QUERY.fullmatch(block[head])
    if not match:
        return block, [f"not understood: {block[head]}"]
    columns = re.sub(r"(^\(|, )(\w+) ", r"\1\2 ", match["columns"])
    create = f"CREATE TABLE slt_result {columns}; INSERT INTO slt_result {sql};"
    output, error = server.run(f"{setup}{create} COPY slt_result TO STDOUT;")
    if match["error"]:
        return block, [] if error else [f"PostgreSQL does not fail: {sql}"]
    if error:
        return block, [f"PostgreSQL fails: {sql}\n{error}"]
    rows = sorted(output.split("\n")[:-1], key=lambda row: row.encode())
    return block[:head + 1] + [sql, "----"] + rows, []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="by default all")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or the server would outlive this process
    failed = False
    with Server() as server:
        for path in arguments.files or [*sorted((HERE / "cases").glob("*.slt")), *sorted(EXPRESSIONS.glob("*.txt"))]:
            old = path.read_text()
            new, complaints = (refresh_expressions if path.suffix == ".txt" else refresh_cases)(server, old)
            for complaint in complaints:
                print(f"{path.name}: {complaint}")
            if arguments.check and new != old:
                print(f"{path.name}: differs from PostgreSQL")
            elif not arguments.check:
                path.write_text(new)
            failed = failed or bool(complaints) or (arguments.check and new != old)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
