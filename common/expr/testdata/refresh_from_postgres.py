#!/usr/bin/env python3
"""Writes what PostgreSQL answers behind every expression of the files in this folder.

    ./refresh_from_postgres.py --host /run/postgresql --user postgres calls.txt expressions.txt

A line is `expression => answer`; only what stands left of ` => ` is read (a line without it is a new expression).
`rows of f(...)` asks for the rows of a table function, joined as an array. Answers are text as psql prints it, NULL, or
`ERROR: message`. Lines that begin with # and empty ones stay. The database should have been made with
`initdb --locale=C.UTF-8 --encoding=UTF8`; the answers in the repository come from PostgreSQL 15.
"""

import argparse
import subprocess
import sys

SETUP = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; "
    "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET standard_conforming_strings = on;"
)
ROWS = "rows of "


def query_of(expression):
    if expression.startswith(ROWS):
        return f"SELECT coalesce(array_agg(t::text)::text, '{{}}') FROM {expression[len(ROWS):]} AS t"
    return f"SELECT {expression}"


def ask(expressions, options):
    """One session for all: errors are printed in place, so that every expression gives exactly one answer."""
    separator = "@@millrace@@"
    lines = [SETUP, "\\set VERBOSITY terse"]
    for expression in expressions:
        lines += [f"\\echo {separator}", query_of(expression) + " \\g"]
    lines.append(f"\\echo {separator}")
    command = ["psql", "-X", "-q", "-A", "-t", "-P", "null=NULL", "-h", options.host, "-U", options.user, options.database]
    result = subprocess.run(
        command, input="\n".join(lines), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    answers = result.stdout.split(separator + "\n")[1:-1]
    if len(answers) != len(expressions):
        sys.exit(f"{len(expressions)} expressions, but {len(answers)} answers")
    return [clean(answer.removesuffix("\n")) for answer in answers]


def clean(answer):
    for prefix in ("ERROR:  ", "psql:<stdin>:"):
        if answer.startswith(prefix) or "ERROR:  " in answer.split("\n")[0]:
            message = answer.split("\n")[0].split("ERROR:  ", 1)[1]
            return "ERROR: " + message.split(" at character ")[0]
    return answer.replace("\\", "\\\\").replace("\n", "\\n")


def refresh(path, options):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    expressions = [line.split(" => ")[0] for line in lines if line and not line.startswith("#")]
    answers = iter(ask(expressions, options))
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            if line and not line.startswith("#"):
                line = f"{line.split(' => ')[0]} => {next(answers)}"
            file.write(line + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="/run/postgresql")
    parser.add_argument("--user", default="postgres")
    parser.add_argument("--database", default="postgres")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    for path in options.files:
        refresh(path, options)


if __name__ == "__main__":
    main()
