"""How long a batch takes from its tick to its commit at 10 ms batches, and what an idle job costs. A report, not a test.

  bazel run //tests/bench/latency -- [--seconds 60] [--rate 1000] [--batch-duration '10 ms'] [--delivery at_least_once]

Starts a broker, a driver and an executor. Each batch's time is the driver's own (jobs show), from the tick that planned
it to the journal's word that it is committed; the last 20 are asked for every 50 ms, so that hardly one is missed.
"""

import argparse
import pathlib
import subprocess
import sys
import time

from tests.harness.measure import cpu_seconds, machine, percentile
from tests.harness.processes import Cluster, KafkaBroker, find_file, wait_until

PARTITIONS = 4
SEED = 1

JOB = """SET batch_duration = '{batch_duration}';
CREATE TABLE lines (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = 'lines', format = 'raw');
CREATE TABLE counts (word text PRIMARY KEY, count text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = 'counts', format = 'raw', delivery = '{delivery}');
INSERT INTO counts
  SELECT word, count(*)::text FROM lines, regexp_split_to_table(value, '\\s+') AS word GROUP BY word;
"""


def idle_share(cluster, seconds):
    """CPU of driver and executor together while the job has nothing to do, as a share of one core."""
    pids = [cluster.driver.pid, cluster.executors[0].pid]
    before = sum(map(cpu_seconds, pids))
    time.sleep(seconds)
    return (sum(map(cpu_seconds, pids)) - before) / seconds


def collect(cli, producer):
    """batch -> (tick to committed ms, records), asked for until the producer has ended and nothing lags."""
    batches, last_lags = {}, []
    while True:
        detail = cli.job("latency")
        for batch in detail["recent"]:
            batches[int(batch["batch"])] = (int(batch["tick_to_committed_us"]) / 1000, int(batch["records"]))
        last_lags.append(int(detail["summary"]["lag_records"]))
        if producer.poll() is not None:
            return batches, last_lags
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--batch-duration", default="10 ms")
    parser.add_argument("--delivery", choices=["exactly_once", "at_least_once"], default="exactly_once")
    parser.add_argument("--idle-seconds", type=int, default=20)
    arguments = parser.parse_args()
    broker = KafkaBroker(heap="1g")
    cluster = Cluster(1)
    try:
        cli = cluster.cli(broker.bootstrap)
        cli.create_topic("lines", PARTITIONS)
        cli.create_topic("counts", PARTITIONS)
        job = pathlib.Path(cluster.directory) / "latency.sql"
        job.write_text(JOB.format(bootstrap=broker.bootstrap, batch_duration=arguments.batch_duration, delivery=arguments.delivery))
        cli.ok("submit", job, "--name", "latency")
        cli.wait_for_phase("latency", "running")
        idle = idle_share(cluster, arguments.idle_seconds)
        producer = subprocess.Popen(
            [str(part) for part in (
                find_file("tests/bench/wordcount/fill", "bazel-bin/tests/bench/wordcount/fill"), broker.bootstrap, "lines",
                PARTITIONS, arguments.rate * arguments.seconds, SEED, arguments.rate)])
        batches, lags = collect(cli, producer)
        if producer.returncode != 0:
            sys.exit("the producer failed")
        begun = time.monotonic()
        wait_until(lambda: cli.lag("latency") == 0, 30, "the job catches up")
        caught_up = time.monotonic() - begun
        times = [ms for ms, records in batches.values() if records > 0]
        print(f"machine: {machine()}")
        print(f"load:    {arguments.rate:,} lines/s of 12 words for {arguments.seconds} s, delivery = '{arguments.delivery}', "
              f"batch_duration = '{arguments.batch_duration}', 1 driver, 1 executor\n")
        print("| batches seen | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms | lag p50 | lag max | caught up after s | idle CPU % |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        shares = " | ".join(f"{percentile(times, share):.1f}" for share in (0.5, 0.9, 0.99, 0.999, 1))
        print(f"| {len(times)} of {max(batches) - min(batches) + 1} | {shares} | {percentile(lags, 0.5)} | {max(lags)} | "
              f"{caught_up:.2f} | {idle * 100:.2f} |")
    finally:
        cluster.close()
        broker.close()


if __name__ == "__main__":
    main()
