"""The word count benchmark: raw librdkafka and `millrace run --once` over the same topic, in turn.

Starts a Kafka broker, fills a topic (8 M lines of 12 words, 10 k distinct, 4 partitions, fixed seed), runs both three
times and prints a table: lines/s, CPU-seconds per million lines, peak memory, and the ratio to raw. A report, not a test.
"""

import argparse
import dataclasses
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from tests.harness import processes

PARTITIONS = 4

JOB = """
SET job_name = 'wordcount-{run}';
SET batch_duration = '{batch_duration}';
CREATE TABLE lines (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = 'lines', format = 'raw');
CREATE TABLE counts (word text, count bigint) WITH (connector = 'blackhole');
INSERT INTO counts
  SELECT word, count(*) FROM lines, regexp_split_to_table(value, '\\s+') AS word GROUP BY word{per_batch};
"""


@dataclasses.dataclass
class Run:
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(command, env=None):
    """Runs a command to its end and returns what the system charged it with."""
    begin = time.monotonic()
    child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
    output = child.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begin
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed with {child.returncode}:\n{output[-4000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024), output


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def describe(name, runs, lines, floor=None):
    cpu = [run.cpu_seconds / lines * 1e6 for run in runs]
    rate = [lines / run.seconds / 1e6 for run in runs]
    ratio = f"{statistics.median(cpu) / floor:5.2f}" if floor else " 1.00"
    print(f"{name:<28} {statistics.median(rate):8.2f} ({min(rate):.2f}–{max(rate):.2f})"
          f" {statistics.median(cpu):8.2f} ({min(cpu):.2f}–{max(cpu):.2f})"
          f" {max(run.peak_bytes for run in runs) / 1e6:8.0f}   {ratio}", flush=True)
    return statistics.median(cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=8_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch-duration", default="0")
    parser.add_argument("--per-batch", action="store_true", help="count per batch instead of running counts")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    fill = processes.find_file("tests/bench/wordcount/fill", "bazel-bin/tests/bench/wordcount/fill")
    raw = processes.find_file("tests/bench/wordcount/raw_read", "bazel-bin/tests/bench/wordcount/raw_read")
    broker = processes.KafkaBroker(heap="1g")
    try:
        cli = processes.Cli(bootstrap=broker.bootstrap)
        cli.create_topic("lines", partitions=PARTITIONS)
        _, filled = measure([fill, broker.bootstrap, "lines", PARTITIONS, options.lines, options.seed])
        print(f"filled: {filled.strip()}", flush=True)
        raw_runs, our_runs = [], []
        job = broker.directory / "wordcount.sql"
        for number in range(options.runs):
            run, out = measure([raw, broker.bootstrap, "lines", PARTITIONS])
            if int(out) != options.lines:
                raise SystemExit(f"raw_read saw {out.strip()} records, expected {options.lines}")
            raw_runs.append(run)
            job.write_text(JOB.format(run=number, bootstrap=broker.bootstrap, batch_duration=options.batch_duration,
                                      per_batch=", batch_time()" if options.per_batch else ""))
            run, out = measure([processes.millrace_path(), "run", job, "--once"])
            our_runs.append(run)
    finally:
        broker.close()

    print(f"\n{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores shared with the broker; "
          f"{options.lines} lines, median (min–max) of {options.runs} runs")
    print(f"{'':<28} {'M lines/s':>20} {'CPU-s / M lines':>19} {'peak MB':>9}   ratio")
    floor = describe("raw librdkafka, no work", raw_runs, options.lines)
    describe("millrace run --once", our_runs, options.lines, floor)
    return 0


if __name__ == "__main__":
    sys.exit(main())
