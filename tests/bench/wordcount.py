"""Word count from a real Kafka beside the bare client: lines/s, CPU, memory. A report, not a test.

  bazel run //tests/bench:wordcount -- [--lines N] [--rounds N]

Starts a broker, fills a topic (seed fixed), then runs the raw librdkafka reader and `millrace run --once` in turn and
prints a table. CPU and peak memory are the child's own, from the kernel (wait4); the broker's are not in them. Wall
time is the whole process's, start and end included.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import pathlib

from tests.harness.processes import Cli, KafkaBroker, find_file, millrace_path

JOB = """SET batch_duration = '{batch_duration}';
CREATE TABLE lines (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = 'lines', format = 'raw');
CREATE TABLE counts (word text, count bigint) WITH (connector = 'blackhole');
INSERT INTO counts
  SELECT word, count(*) FROM lines, regexp_split_to_table(value, '\\s+') AS word GROUP BY word;
"""


def measure(command):
    """(wall seconds, CPU seconds, peak MiB) of a child that must succeed, and its standard output."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            sys.exit(f"{command[0]} failed ({process.returncode}): {err.read().decode()}")
        return (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), out.read().decode()


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo", encoding="utf-8") if line.startswith("MemTotal"))
    return f"{os.cpu_count()} × {model}, {memory / 2**20:.0f} GiB, Linux {platform.release()}"


def print_report(lines, results):
    print(f"\nmachine: {machine()}\nlines:   {lines:,} of 12 words, 10,000 distinct, 4 partitions\n")
    print("| run | engine | M lines/s | CPU-s per M lines | peak RSS MiB |")
    print("|---|---|---|---|---|")
    for engine, measured in results.items():
        for number, (wall, cpu, peak) in enumerate(measured, 1):
            print(f"| {number} | {engine} | {lines / wall / 1e6:.2f} | {cpu / lines * 1e6:.3f} | {peak:.0f} |")
    median = {engine: [statistics.median(column) for column in zip(*measured)] for engine, measured in results.items()}
    for engine, (wall, cpu, peak) in median.items():
        print(f"| median | {engine} | {lines / wall / 1e6:.2f} | {cpu / lines * 1e6:.3f} | {peak:.0f} |")
    raw, ours = median["raw librdkafka"], median["millrace"]
    print(f"\nmillrace / raw: {raw[0] / ours[0]:.2f} of the lines/s, {ours[1] / raw[1]:.2f} times the CPU")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=8_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-duration", default="2 s")
    arguments = parser.parse_args()
    broker = KafkaBroker(heap="1g")
    try:
        Cli(bootstrap=broker.bootstrap).create_topic("lines", 4)
        print(f"filling a topic with {arguments.lines:,} lines...", file=sys.stderr)
        address = ["--bootstrap", broker.bootstrap, "--topic", "lines"]
        measure([find_file("tests/bench/fill_topic", "bazel-bin/tests/bench/fill_topic"), *address,
                 "--lines", arguments.lines])
        job = pathlib.Path(broker.directory) / "wordcount.sql"
        job.write_text(JOB.format(bootstrap=broker.bootstrap, batch_duration=arguments.batch_duration))
        results = {"raw librdkafka": [], "millrace": []}
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}...", file=sys.stderr)
            usage, out = measure([find_file("tests/bench/raw_reader", "bazel-bin/tests/bench/raw_reader"), *address])
            if json.loads(out)["records"] != arguments.lines:
                sys.exit(f"the raw reader read something else: {out}")
            results["raw librdkafka"].append(usage)
            usage, _ = measure([millrace_path(), "run", job, "--once"])
            results["millrace"].append(usage)
        print_report(arguments.lines, results)
    finally:
        broker.close()


if __name__ == "__main__":
    main()
