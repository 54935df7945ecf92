"""What exactly once costs. Reports, not tests; without arguments all three:

  bazel run //tests/bench/exactly_once -- [filter] [snapshots] [latency]

filter     Kafka to Kafka, every record goes through: CPU and records/s with delivery = 'exactly_once' and 'at_least_once'
snapshots  running counts over 1 M keys with a snapshot every 10 s, and without: records/s, and the longest batch
latency    1,000 records/s, batch_duration = '10 ms', running counts: from produce to the read_committed reader
"""

import argparse
import os
import statistics
import sys
import time

from tests.chaos.ledger_process import Ledger
from tests.chaos.world import JOB, World
from tests.harness.measure import machine, percentile
from tests.harness.processes import Cli, KafkaBroker, Process, find_file, millrace_path, new_directory, run

PARTITIONS = 4

FILTER = """SET job_name = 'filter-{topic}';
SET batch_duration = '{batch_duration}';
SET checkpoint_location = '{directory}';
CREATE TABLE events (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = 'events', format = 'raw');
CREATE TABLE filtered (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = '{topic}', format = 'raw'{delivery});
INSERT INTO filtered SELECT value FROM events WHERE length(value) > 10;
"""


def fill(broker, directory, records, **kwargs):
    """A topic `events` with so many records of about 120 bytes."""
    Cli(bootstrap=broker.bootstrap).create_topic("events", PARTITIONS)
    ledger = Ledger(directory, broker.bootstrap, "events", {}, PARTITIONS, 0, seed=1, records=records, **kwargs)
    ledger.wait_until_sent(600)
    ledger.close()


# ---- filter ----

def run_filter(broker, directory, name, delivery, batch_duration):
    """Seconds and CPU-seconds of `millrace run --once`, which the broker's are not in."""
    cli = Cli(bootstrap=broker.bootstrap)
    cli.create_topic(name, PARTITIONS)
    script = directory / f"{name}.sql"
    script.write_text(FILTER.format(topic=name, bootstrap=broker.bootstrap, directory=directory / f"{name}.journal",
                                    batch_duration=batch_duration, delivery=delivery))
    begin = time.monotonic()
    process = Process(name, [millrace_path(), "run", script, "--once"], directory)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{name} failed:\n{process.tail()}")
    return seconds, usage.ru_utime + usage.ru_stime


def report_filter(arguments):
    broker, directory = KafkaBroker(heap="1g"), new_directory("filter")
    try:
        fill(broker, directory, arguments.filter_records)
        runs = {"at_least_once": [], "exactly_once": []}
        for number in range(arguments.runs):
            for delivery, results in runs.items():
                name = f"{delivery}-{number}"
                results.append(run_filter(broker, directory, name, f", delivery = '{delivery}'", arguments.batch_duration))
                written = run([find_file("tests/bench/wordcount/raw_read", "bazel-bin/tests/bench/wordcount/raw_read"),
                               broker.bootstrap, name, PARTITIONS]).out
                if int(written) != arguments.filter_records:
                    raise SystemExit(f"{name} wrote {written} rows, expected {arguments.filter_records}")
    finally:
        broker.close()
    print(f"\nKafka to Kafka, {arguments.filter_records:,} records, batch_duration = '{arguments.batch_duration}', median (min–max) of "
          f"{arguments.runs} runs, broker on the same machine\n")
    print("| delivery | k records/s | CPU-s per M records |\n|---|---|---|")
    medians = {}
    for delivery, results in runs.items():
        rates = [arguments.filter_records / seconds / 1000 for seconds, _ in results]
        cpu = [cpu_seconds / arguments.filter_records * 1e6 for _, cpu_seconds in results]
        medians[delivery] = statistics.median(rates)
        print(f"| {delivery} | {medians[delivery]:.0f} ({min(rates):.0f}–{max(rates):.0f}) | "
              f"{statistics.median(cpu):.2f} ({min(cpu):.2f}–{max(cpu):.2f}) |")
    print(f"\ncost: {(1 - medians['exactly_once'] / medians['at_least_once']) * 100:.1f} % (goal: at most 10 %)")


# ---- snapshots ----

def longest_batches(world, seconds):
    """Milliseconds from tick to commit of the batches seen in that time."""
    batches = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for batch in world.cli.job(JOB)["recent"]:
            batches[int(batch["batch"])] = int(batch["tick_to_committed_us"]) / 1000
        time.sleep(0.2)
    return list(batches.values())


def run_snapshots(arguments, interval):
    """records/s while catching up, then batch times at a steady rate."""
    world = World(["running"], rate=0, executors=1, drivers=1, proxied=False, heap="1g", cold_keys=arguments.keys // 4,
                  settings={"batch_duration": "200 ms", "checkpoint_interval": interval})
    try:
        world.wait_for_members()
        world.ledger.wait_for_progress(lambda progress: sum(progress["produced"]) >= arguments.records, 600)
        world.ledger.set_rate(1)
        world.submit()
        known = 2 * arguments.keys  # from here on every key has state
        world.ledger.wait_for_progress(lambda _: world.cli.records(JOB) >= known, 600)
        first, begin = world.cli.records(JOB), time.monotonic()
        world.ledger.wait_for_progress(lambda _: world.cli.records(JOB) >= arguments.records, 600)
        rate = (world.cli.records(JOB) - first) / (time.monotonic() - begin)
        world.ledger.set_rate(arguments.steady_rate)
        times = longest_batches(world, arguments.seconds)
        world.finish(300)
        return rate, times
    finally:
        world.close()


def report_snapshots(arguments):
    runs = {"1 h": [], "10 s": []}
    for _ in range(arguments.runs):
        for interval, results in runs.items():
            results.append(run_snapshots(arguments, interval))
    print(f"\nrunning counts, {arguments.keys:,} keys; records/s over {arguments.records - 2 * arguments.keys:,} records while catching "
          f"up, median (min–max) of {arguments.runs} runs; batch times at {arguments.steady_rate:,} records/s, of all runs; "
          "batch_duration = '200 ms'\n")
    print("| snapshot every | k records/s | batch p50 ms | p99 ms | max ms |\n|---|---|---|---|---|")
    medians = {}
    for interval, results in runs.items():
        rates = [rate / 1000 for rate, _ in results]
        times = [ms for _, of_run in results for ms in of_run]
        medians[interval] = statistics.median(rates)
        print(f"| {interval} | {medians[interval]:.0f} ({min(rates):.0f}–{max(rates):.0f}) | {percentile(times, 0.5):.1f} | "
              f"{percentile(times, 0.99):.1f} | {max(times):.1f} |")
    print(f"\ncost: {(1 - medians['10 s'] / medians['1 h']) * 100:.1f} % (goals: at most 5 %, and the longest batch at most 20 ms "
          "longer)")


# ---- latency ----

def report_latency(arguments):
    world = World(["plain", "running"], rate=1000, executors=1, drivers=1, proxied=False, heap="1g",
                  settings={"batch_duration": "10 ms", "checkpoint_interval": "10 s"})
    try:
        world.wait_for_members()
        world.submit()
        world.ledger.mark("begin")
        if not world.ledger.wait_for_mark("begin", 60):
            raise SystemExit(f"the job does not run: {world.job_message()}")
        time.sleep(10)  # warm
        world.ledger.forget_latencies()
        time.sleep(arguments.seconds)
        result = world.finish()
    finally:
        world.close()
    print(f"\n1,000 records/s for {arguments.seconds} s, batch_duration = '10 ms', from produce to a read_committed reader; goals "
          "for `running`: p50 25 ms, p99 80 ms\n")
    print("| output | records | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms |\n|---|---|---|---|---|---|---|")
    for name, output in result["outputs"].items():
        latency = output["latency_ms"]
        print(f"| {name} | {latency['count']:,} | " + " | ".join(
            f"{latency[share]:.1f}" for share in ("p50", "p90", "p99", "p999", "max")) + " |")
    if not result["right"]:
        raise SystemExit(f"the ledger found: {result}")


REPORTS = {"filter": report_filter, "snapshots": report_snapshots, "latency": report_latency}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="*", metavar="REPORT", help=", ".join(REPORTS))
    # So many that the start, with the claims of all shards, is a small part of a run.
    parser.add_argument("--filter-records", type=int, default=12_000_000)
    # So many that catching up takes several snapshots.
    parser.add_argument("--records", type=int, default=24_000_000, help="of the snapshots")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--steady-rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--batch-duration", default="200 ms", help="of the filter")
    arguments = parser.parse_args()
    if unknown := set(arguments.reports) - set(REPORTS):
        parser.error(f"no report is called {', '.join(unknown)}")
    print(f"machine: {machine()}")
    for report in arguments.reports or REPORTS:
        REPORTS[report](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
