"""What 10 ms batches cost and how long they take, Kafka to Kafka. A report, not a test.

  bazel run //tests/bench/latency -- [--seconds 60] [--warm-up 15] [--rate 1000] [--batch-duration '10 ms']
                                     [--delivery at_least_once] [--parallelism 4] [--commit-interval '20 ms']
                                     [--baseline DIR] [--rounds 3]

Starts a broker, a driver and an executor for each run. With --baseline the programs in that directory are measured in turn
with the ones built here; they are not told --commit-interval, which they may not know. All figures are of the measured
time, which begins after a warm-up under the same load: a new broker needs one.

tick to commit  the driver's own times (its /metrics) of all batches, from the tick that planned one to the journal's word
                that it is committed. Percentiles are read from the histogram as Prometheus does it, by a straight line
                within a bucket; the shares are exact
transactions/s  those that the broker has committed, of all producers together, and the number of producers that made them;
                one executor with one group of sinks. Counted in the broker's own log of transactions (__transaction_state),
                since the engine has no metric of them, and markers in the output would have to be divided by partitions
cores           CPU of broker (which shares the machine), driver and executor
ack             how long the plain producer that sends the lines waits for the broker to acknowledge one (acks = 1, no
                lingering): what the job's transactions do to others
lag             of the job, looked at four times a second
idle            CPU of driver and executor together before the first line, as a share of one core
"""

import argparse
import pathlib
import re
import sys
import time

from tests.harness.measure import (BASELINE_HELP, builds, committed_transactions, cpu_seconds, in_turn, machine,
                                   percentile, print_comparison)
from tests.harness.processes import Cluster, KafkaBroker, Process, find_file, wait_until

PARTITIONS = 4
SEED = 1

WITHIN_MS = (10, 20, 30, 50, 100, 200)  # of the driver's buckets

# Each figure of a run, and its places after the point.
FIGURES = {
    "batches": 0,
    "tick to commit p50 ms": 1,
    "tick to commit p90 ms": 1,
    "tick to commit p99 ms": 1,
    **{f"≤ {ms} ms, %": 2 for ms in WITHIN_MS},
    "transactions/s": 1,
    "transactional producers": 0,
    "broker cores": 3,
    "driver cores": 3,
    "executor cores": 3,
    "ack p50 ms": 2,
    "ack p99 ms": 2,
    "ack max ms": 2,
    "lag p50": 0,
    "lag max": 0,
    "caught up after s": 2,
    "idle CPU %": 2,
}

JOB = """SET batch_duration = '{batch_duration}';
{settings}
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


class Moment:
    """What has been counted up to now."""

    def __init__(self, broker, cluster):
        self.at = time.time()
        self.cpu = {"broker": cpu_seconds(broker.pid), "driver": cpu_seconds(cluster.driver.pid),
                    "executor": cpu_seconds(cluster.executors[0].pid)}
        self.page = cluster.metrics()


def start_producer(broker, cluster, arguments):
    """Sends lines at the rate for as long as the run takes, and then tells of those after the warm-up."""
    return Process(
        "fill", [find_file("tests/bench/wordcount/fill", "bazel-bin/tests/bench/wordcount/fill"), broker.bootstrap, "lines",
                 PARTITIONS, arguments.rate * (arguments.warm_up + arguments.seconds), SEED, arguments.rate,
                 arguments.rate * arguments.warm_up], cluster.directory)


def acks(producer):
    """Milliseconds: p50, p99, max."""
    code = producer.wait(30)
    found = re.search(r"^acks: p50 (\S+) p99 (\S+) max (\S+)$", producer.text(), re.MULTILINE)
    if code != 0 or not found:
        sys.exit(f"the producer failed:\n{producer.tail()}")
    producer.close()
    return map(float, found.groups())


def submit(broker, cluster, arguments, settings):
    cli = cluster.cli(broker.bootstrap)
    cli.create_topic("lines", PARTITIONS)
    cli.create_topic("counts", PARTITIONS)
    job = pathlib.Path(cluster.directory) / "latency.sql"
    job.write_text(JOB.format(
        bootstrap=broker.bootstrap, batch_duration=arguments.batch_duration, delivery=arguments.delivery,
        settings="".join(f"SET {name} = '{value}';\n" for name, value in settings.items() if value)))
    cli.ok("submit", job, "--name", "latency")
    cli.wait_for_phase("latency", "running")
    return cli


def measure(broker, cluster, arguments, settings):
    """The figures of one run."""
    cli = submit(broker, cluster, arguments, settings)
    idle = idle_share(cluster, arguments.idle_seconds)
    producer = start_producer(broker, cluster, arguments)
    deadline = time.monotonic() + arguments.warm_up
    while time.monotonic() < deadline and producer.running():
        time.sleep(0.1)
    before, lags = Moment(broker, cluster), []
    while producer.running():
        lags.append(lag_of(cluster.metrics()))
        time.sleep(0.25)
    after = Moment(broker, cluster)
    ack_p50, ack_p99, ack_max = acks(producer)
    begun = time.monotonic()
    wait_until(lambda: cli.lag("latency") == 0, 30, "the job catches up")
    caught_up = time.monotonic() - begun
    times, seconds = BatchTimes(before.page, after.page), after.at - before.at
    transactions = committed_transactions(broker, before.at, after.at)
    return {
        "batches": times.batches(),
        **{f"tick to commit p{share} ms": times.percentile(share / 100) for share in (50, 90, 99)},
        **{f"≤ {ms} ms, %": times.share_within(ms) * 100 for ms in WITHIN_MS},
        "transactions/s": sum(transactions.values()) / seconds,
        "transactional producers": len(transactions),
        **{f"{name} cores": (after.cpu[name] - before.cpu[name]) / seconds for name in after.cpu},
        "ack p50 ms": ack_p50, "ack p99 ms": ack_p99, "ack max ms": ack_max,
        "lag p50": percentile(lags, 0.5), "lag max": max(lags),
        "caught up after s": caught_up,
        "idle CPU %": idle * 100,
    }


def run(binaries, arguments):
    """measure() with a broker and a cluster of its own."""
    settings = {"parallelism": arguments.parallelism, "commit_interval": None if binaries else arguments.commit_interval}
    broker = KafkaBroker(heap="1g")
    try:
        cluster = Cluster(1, binaries=binaries)
        try:
            return measure(broker, cluster, arguments, settings)
        finally:
            cluster.close()
    finally:
        broker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--warm-up", type=int, default=15)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--batch-duration", default="10 ms")
    parser.add_argument("--delivery", choices=["exactly_once", "at_least_once"], default="exactly_once")
    parser.add_argument("--parallelism", type=int, help="key shards; default: the engine's")
    parser.add_argument("--commit-interval", help="the setting; default: the engine's")
    parser.add_argument("--idle-seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, help="default: 3 with a baseline, else 1")
    parser.add_argument("--baseline", metavar="DIR", help=BASELINE_HELP)
    arguments = parser.parse_args()
    of_build = builds(arguments.baseline)
    results = {build: [] for build in of_build}
    print(f"machine: {machine()}")
    for number, build in in_turn(of_build, arguments.rounds or (3 if arguments.baseline else 1)):
        figures = run(of_build[build], arguments)
        results[build].append(figures)
        print(f"round {number + 1}, {build}: " + ", ".join(
            f"{name} {figures[name]:.{places}f}" for name, places in FIGURES.items()), flush=True)
    print(f"\n{arguments.rate:,} lines/s of 12 words for {arguments.seconds} s after {arguments.warm_up} s, "
          f"delivery = '{arguments.delivery}', batch_duration = '{arguments.batch_duration}', "
          f"commit_interval = {arguments.commit_interval or 'default'}, parallelism = {arguments.parallelism or 'default'}, "
          "1 driver, 1 executor; median (min–max) of the rounds\n")
    print_comparison(results, FIGURES)


if __name__ == "__main__":
    main()
