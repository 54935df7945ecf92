"""How long a batch takes from its tick to its commit at 10 ms batches, and what an idle job costs. A report, not a test.

  bazel run //tests/bench/latency -- [--seconds 60] [--warm-up 15] [--rate 1000] [--batch-duration '10 ms']
                                     [--delivery at_least_once] [--parallelism 4]

Starts a broker, a driver and an executor. Each batch's time is the driver's own (its /metrics), from the tick that planned
it to the journal's word that it is committed. All batches count that are committed in the measured time, which begins after
a warm-up under the same load: a new broker needs one. Percentiles are read from the histogram as Prometheus does it, by a
straight line within a bucket; the shares are exact.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import time

from tests.harness.measure import cpu_seconds, machine, percentile
from tests.harness.processes import Cluster, KafkaBroker, find_file, wait_until

PARTITIONS = 4
SEED = 1

WITHIN_MS = (10, 20, 30, 50, 100, 200)  # of the driver's buckets

JOB = """SET batch_duration = '{batch_duration}';
{parallelism}
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


class BatchTimes:
    """How long batches took between two moments: (upper bound in ms, batches up to it), in order."""

    def __init__(self, before, after):
        """Of the driver's metrics at both."""
        earlier = dict(self._histogram(before))
        self._counts = [(bound, count - earlier.get(bound, 0)) for bound, count in self._histogram(after)]

    @staticmethod
    def _histogram(page):
        found = re.findall(r'millrace_job_batch_seconds_bucket{job="latency",stage="total",le="([^"]+)"} (\d+)', page)
        return [(float(bound) * 1000, int(count)) for bound, count in found]

    def batches(self):
        return self._counts[-1][1]

    def share_within(self, ms):
        return dict(self._counts)[ms] / self.batches()

    def percentile(self, share):
        wanted, low, below = share * self.batches(), 0.0, 0
        for bound, count in self._counts:
            if count >= wanted:
                return low + (bound - low) * (wanted - below) / (count - below)
            low, below = bound, count
        raise AssertionError("a histogram ends with all")


def lag_of(page):
    return sum(int(float(lag)) for lag in re.findall(r'millrace_job_lag_records{job="latency"[^}]*} (\S+)', page))


def collect(cluster, producer, warm_up):
    """The batch times after the warm-up, and what lagged each quarter of a second."""
    deadline = time.monotonic() + warm_up
    while time.monotonic() < deadline and producer.poll() is None:
        time.sleep(0.1)
    before, lags = cluster.metrics(), []
    while producer.poll() is None:
        lags.append(lag_of(cluster.metrics()))
        time.sleep(0.25)
    return BatchTimes(before, cluster.metrics()), lags


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--warm-up", type=int, default=15)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--batch-duration", default="10 ms")
    parser.add_argument("--delivery", choices=["exactly_once", "at_least_once"], default="exactly_once")
    parser.add_argument("--parallelism", type=int, help="key shards, each with a transaction of its own; default: the engine's")
    parser.add_argument("--idle-seconds", type=int, default=20)
    arguments = parser.parse_args()
    broker = KafkaBroker(heap="1g")
    cluster = Cluster(1)
    try:
        cli = cluster.cli(broker.bootstrap)
        cli.create_topic("lines", PARTITIONS)
        cli.create_topic("counts", PARTITIONS)
        job = pathlib.Path(cluster.directory) / "latency.sql"
        job.write_text(JOB.format(
            bootstrap=broker.bootstrap, batch_duration=arguments.batch_duration, delivery=arguments.delivery,
            parallelism=f"SET parallelism = {arguments.parallelism};" if arguments.parallelism else ""))
        cli.ok("submit", job, "--name", "latency")
        cli.wait_for_phase("latency", "running")
        idle = idle_share(cluster, arguments.idle_seconds)
        producer = subprocess.Popen(
            [str(part) for part in (
                find_file("tests/bench/wordcount/fill", "bazel-bin/tests/bench/wordcount/fill"), broker.bootstrap, "lines",
                PARTITIONS, arguments.rate * (arguments.warm_up + arguments.seconds), SEED, arguments.rate)])
        times, lags = collect(cluster, producer, arguments.warm_up)
        if producer.returncode != 0:
            sys.exit("the producer failed")
        begun = time.monotonic()
        wait_until(lambda: cli.lag("latency") == 0, 30, "the job catches up")
        caught_up = time.monotonic() - begun
        print(f"machine: {machine()}")
        print(f"load:    {arguments.rate:,} lines/s of 12 words for {arguments.seconds} s after {arguments.warm_up} s, "
              f"delivery = '{arguments.delivery}', batch_duration = '{arguments.batch_duration}', 1 driver, 1 executor\n")
        shares = " | ".join(f"≤ {ms} ms" for ms in WITHIN_MS)
        print(f"| batches | p50 ms | p90 ms | p99 ms | {shares} | lag p50 | lag max | caught up after s | idle CPU % |")
        print("|---" * (8 + len(WITHIN_MS)) + "|")
        percentiles = " | ".join(f"{times.percentile(share):.1f}" for share in (0.5, 0.9, 0.99))
        shares = " | ".join(f"{times.share_within(ms):.2%}" for ms in WITHIN_MS)
        print(f"| {times.batches()} | {percentiles} | {shares} | {percentile(lags, 0.5)} | {max(lags)} | "
              f"{caught_up:.2f} | {idle * 100:.2f} |")
    finally:
        cluster.close()
        broker.close()


if __name__ == "__main__":
    main()
