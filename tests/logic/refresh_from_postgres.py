#!/usr/bin/env python3
"""Writes the expected rows of the .slt files beside it, as PostgreSQL 15 gives them.

  tests/logic/refresh_from_postgres.py [--check] [FILE.slt...]

Starts a server of its own in a temporary directory (socket only, no port), runs every query of the files there and
puts the sorted rows, in the text form of COPY, under its ---- line. With --check nothing is written: the exit code
says whether the files are as PostgreSQL would have them. A query that is to fail must fail there too.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
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
QUERY = re.compile(r"query (?P<columns>\(.*\))(?: error (?P<error>.+))?$")


class Server:
    """PostgreSQL for the life of a with block. As root it runs as user postgres, since it refuses root."""

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-pg"))
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        self._as_postgres(BIN / "initdb", "-D", self.directory / "data", "-E", "UTF8", "--locale=C", "-A", "trust",
                          "-U", "postgres", "--no-sync")
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


def refresh(server, text):
    """(the file's new text, complaints)."""
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
    failed = False
    with Server() as server:
        for path in arguments.files or sorted((HERE / "cases").glob("*.slt")):
            old = path.read_text()
            new, complaints = refresh(server, old)
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
