"""What exactly once costs. Reports, not tests; without arguments all four:

  bazel run //tests/bench/exactly_once -- [filter] [start] [snapshots] [latency] [--baseline DIR] [--runs 3]

filter     Kafka to Kafka, every record goes through: CPU and records/s with delivery = 'exactly_once' and 'at_least_once',
           for two numbers of records. Time is the whole process's, so that claims are in both; the difference of the two
           is what the further records take, without start and claims
start      SET parallelism = 64, counts by key: from the submission to the first batch. See measure_start()
snapshots  running counts over 1 M keys with a snapshot every 10 s, and without: records/s, and the longest batch
latency    1,000 records/s, batch_duration = '10 ms', running counts: from produce to the read_committed reader

With --baseline filter, start and latency measure the programs in that directory in turn with the ones built here.
--commit-interval (of latency) is for those built here only.
"""

import argparse
import datetime
import os
import re
import shutil
import statistics
import sys
import time

from tests.chaos.ledger_process import Ledger
from tests.chaos.world import JOB, World
from tests.harness.measure import BASELINE_HELP, builds, in_turn, machine, percentile, print_comparison, spread
from tests.harness.processes import (Cli, Cluster, KafkaBroker, Process, binary_path, find_file, new_directory, run,
                                     wait_until)

PARTITIONS = 4

FILTER = """SET job_name = 'filter-{topic}';
SET batch_duration = '{batch_duration}';
SET checkpoint_location = '{directory}';
CREATE TABLE events (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = '{events}', format = 'raw');
CREATE TABLE filtered (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = '{topic}', format = 'raw'{delivery});
INSERT INTO filtered SELECT value FROM events WHERE length(value) > 10;
"""

# Some thousand keys, so that each of the shards has rows to write.
START = """SET batch_duration = '10 ms';
SET parallelism = {parallelism};
CREATE TABLE events (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = 'events', format = 'raw');
CREATE TABLE counts (value text PRIMARY KEY, count text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = 'counts', format = 'raw');
INSERT INTO counts SELECT value, count(*)::text FROM events GROUP BY value;
"""


def fill(broker, directory, topic, records):
    """A topic with so many records of about 120 bytes."""
    Cli(bootstrap=broker.bootstrap).create_topic(topic, PARTITIONS)
    ledger = Ledger(directory, broker.bootstrap, topic, {}, PARTITIONS, 0, seed=1, records=records)
    ledger.wait_until_sent(600)
    ledger.close()


# ---- filter ----

def run_filter(broker, directory, binaries, case, batch_duration):
    """Seconds and CPU-seconds of `millrace run --once`, which the broker's are not in."""
    build, delivery, records = case
    cli, name = Cli(bootstrap=broker.bootstrap), f"{build}-{delivery}-{records}"
    cli.create_topic(name, PARTITIONS)
    journal, script = new_directory("journal"), directory / f"{name}.sql"
    script.write_text(FILTER.format(topic=name, bootstrap=broker.bootstrap, directory=journal, events=f"events-{records}",
                                    batch_duration=batch_duration, delivery=f", delivery = '{delivery}'"))
    begin = time.monotonic()
    process = Process(name, [binary_path("millrace", binaries), "run", script, "--once"], directory)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{name} failed:\n{process.tail()}")
    written = run([find_file("tests/bench/wordcount/raw_read", "bazel-bin/tests/bench/wordcount/raw_read"),
                   broker.bootstrap, name, PARTITIONS]).out
    if int(written) != records:
        raise SystemExit(f"{name} wrote {written} rows, expected {records}")
    shutil.rmtree(journal)
    cli.ok("topics", "delete", name)
    wait_until(lambda: cli.run("topics", "describe", name).code != 0, 30, f"{name} is gone")
    return seconds, usage.ru_utime + usage.ru_stime


def print_cost(what, times, goal):
    """`times`: delivery -> seconds, for each run."""
    costs = [1 - loose / exact for exact, loose in zip(times["exactly_once"], times["at_least_once"])]
    medians = {delivery: statistics.median(seconds) for delivery, seconds in times.items()}
    print(f"cost {what}: {(1 - medians['at_least_once'] / medians['exactly_once']) * 100:.1f} % of the records/s by medians, "
          f"{spread([cost * 100 for cost in costs], 1)} % run by run{goal}")


def report_filter(arguments):
    of_build, sizes = builds(arguments.baseline), sorted(arguments.filter_records)
    deliveries = ("at_least_once", "exactly_once")
    results = {(build, delivery, records): [] for build in of_build for records in sizes for delivery in deliveries}
    broker, directory = KafkaBroker(heap="1g"), new_directory("filter")
    try:
        for records in sizes:
            fill(broker, directory, f"events-{records}", records)
        for _, case in in_turn(results, arguments.runs):
            results[case].append(run_filter(broker, directory, of_build[case[0]], case, arguments.batch_duration))
    finally:
        broker.close()
    print(f"\nKafka to Kafka, batch_duration = '{arguments.batch_duration}', median (min–max) of {arguments.runs} runs, broker "
          "on the same machine\n")
    print("| build | delivery | records | seconds | k records/s | CPU-s per M records |\n|---|---|---|---|---|---|")
    for (build, delivery, records), runs in results.items():
        print(f"| {build} | {delivery} | {records:,} | {spread([seconds for seconds, _ in runs], 2)} | "
              f"{spread([records / seconds / 1000 for seconds, _ in runs], 0)} | "
              f"{spread([cpu / records * 1e6 for _, cpu in runs], 2)} |")
    print()
    least, most = sizes[0], sizes[-1]
    for build in of_build:
        times = {records: {delivery: [seconds for seconds, _ in results[build, delivery, records]] for delivery in deliveries}
                 for records in sizes}
        for records in sizes:
            goal = " (goal: at most 8 % at 4 M)" if records == least else ""
            print_cost(f"of {build}, claims included, {records:,} records", times[records], goal)
        if most > least:
            print_cost(f"of {build}, without start and claims, {most:,} less {least:,} records",
                       {delivery: [more - less for more, less in zip(times[most][delivery], times[least][delivery])]
                        for delivery in deliveries}, " (goal: at most 5 %)")


# ---- start ----

# Each figure, in ms, and its places after the point.
START_FIGURES = {"submission to first batch": 0, "epoch to first batch": 0, "submission to first commit": 0}


def measure_start(binaries, parallelism):
    """A job over records that are there already, on a driver and an executor that are up; milliseconds by the driver's clock.

    The submission is the job's submitted_at; the epoch begins with the driver's line about it in its log, as it appends
    EpochStarted to the journal; the first batch begins at its batch time, when all shards have been claimed; it is
    committed when the journal has that.
    """
    broker, directory = KafkaBroker(heap="1g"), new_directory("start")
    cluster = None
    try:
        fill(broker, directory, "events", 10_000)
        cluster = Cluster(1, binaries=binaries)
        cli = cluster.cli(broker.bootstrap)
        cli.create_topic("counts", PARTITIONS)
        script = directory / "start.sql"
        script.write_text(START.format(parallelism=parallelism, bootstrap=broker.bootstrap))
        cli.ok("submit", script, "--name", "start")
        wait_until(lambda: cli.job("start")["recent"], 120, "the first batch is committed")
        job = cli.job("start")
        epoch = re.search(r"^\[(.{23})\].*job start: epoch ", cluster.driver.text(), re.MULTILINE)
    finally:
        if cluster:
            cluster.close()
        broker.close()
    first = job["recent"][-1]
    if int(first["batch"]) != 1 or int(job["summary"]["restarts"]) > 0:
        raise SystemExit(f"that was not a plain start: {job}")
    submitted, began = int(job["summary"]["submitted_at_us"]) / 1000, int(first["batch_time_us"]) / 1000
    epoch_began = datetime.datetime.strptime(epoch[1], "%Y-%m-%d %H:%M:%S.%f").timestamp() * 1000
    figures = (began - submitted, began - epoch_began, began - submitted + int(first["tick_to_committed_us"]) / 1000)
    return dict(zip(START_FIGURES, figures))


def report_start(arguments):
    of_build = builds(arguments.baseline)
    results = {build: [] for build in of_build}
    for _, build in in_turn(of_build, arguments.runs):
        results[build].append(measure_start(of_build[build], arguments.start_parallelism))
    print(f"\nstart of a job with parallelism = {arguments.start_parallelism}, one executor, 10,000 records; ms, median "
          f"(min–max) of {arguments.runs} runs; goal: the first batch within 1,000 ms\n")
    print_comparison(results, START_FIGURES)


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

LATENCY_FIGURES = {f"{name} {share}": 1 for name in ("plain", "running") for share in ("p50", "p90", "p99", "p999", "max")}


def measure_latency(binaries, arguments):
    """Milliseconds from produce to a read_committed reader, by output and percentile."""
    commit_interval = None if binaries else arguments.commit_interval
    world = World(["plain", "running"], rate=1000, executors=1, drivers=1, proxied=False, heap="1g", binaries=binaries,
                  settings={"batch_duration": arguments.latency_batch_duration, "checkpoint_interval": "10 s",
                            **({"commit_interval": commit_interval} if commit_interval else {})})
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
    if not result["right"]:
        raise SystemExit(f"the ledger found: {result}")
    return {f"{name} {share}": output["latency_ms"][share]
            for name, output in result["outputs"].items() for share in ("p50", "p90", "p99", "p999", "max")}


def report_latency(arguments):
    of_build = builds(arguments.baseline)
    results = {build: [] for build in of_build}
    for _, build in in_turn(of_build, arguments.runs):
        results[build].append(measure_latency(of_build[build], arguments))
    print(f"\n1,000 records/s for {arguments.seconds} s, batch_duration = '{arguments.latency_batch_duration}', "
          f"commit_interval = {arguments.commit_interval or 'default'}, from produce to a read_committed reader; ms, median (min–max) of "
          f"{arguments.runs} runs\n")
    print_comparison(results, LATENCY_FIGURES)


REPORTS = {"filter": report_filter, "start": report_start, "snapshots": report_snapshots, "latency": report_latency}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="*", metavar="REPORT", help=", ".join(REPORTS))
    parser.add_argument("--filter-records", type=int, nargs="+", default=[4_000_000, 12_000_000])
    parser.add_argument("--start-parallelism", type=int, default=64)
    # So many that catching up takes several snapshots.
    parser.add_argument("--records", type=int, default=24_000_000, help="of the snapshots")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--steady-rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--batch-duration", default="200 ms", help="of the filter")
    parser.add_argument("--latency-batch-duration", default="10 ms")
    parser.add_argument("--commit-interval", help="of latency; default: the engine's")
    parser.add_argument("--baseline", metavar="DIR", help=BASELINE_HELP)
    arguments = parser.parse_args()
    if unknown := set(arguments.reports) - set(REPORTS):
        parser.error(f"no report is called {', '.join(unknown)}")
    print(f"machine: {machine()}")
    for report in arguments.reports or REPORTS:
        REPORTS[report](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
