"""Two drivers on one directory, executors and a real Kafka: whatever ends or stops the one that drives, the other goes on in time."""

import signal
import threading
import time
import unittest

from tests.harness import cases
from tests.harness.processes import Cli, Cluster, KafkaBroker, new_directory, wait_until
from tests.integration import streams

PARTITIONS = 2
LIMIT_SECONDS = 5
BROKER = None


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()


def tearDownModule():
    BROKER.close()


class Feed:
    """Produces lines all the time, on a thread of its own, and remembers them."""

    def __init__(self, kafka, topic, seed):
        self._kafka = kafka
        self._topic = topic
        self._seed = seed
        self._stop = threading.Event()
        self.lines = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        for number in range(10**6):
            if self._stop.is_set():
                return
            lines = streams.make_lines(20, seed=self._seed * 10**6 + number)
            self._kafka.produce(self._topic, lines)
            self.lines += lines

    def stop(self):
        self._stop.set()
        self._thread.join()


class StandbyTest(unittest.TestCase):
    def setUp(self):
        self.problems_before = self.problems()
        self.kafka = Cli(bootstrap=BROKER.bootstrap)
        self.name = self._testMethodName.removeprefix("test_")
        self.source = f"{self.name}.in"
        self.sink = f"{self.name}.out"
        self.kafka.create_topic(self.source, PARTITIONS)
        self.kafka.create_topic(self.sink, PARTITIONS)
        self.cluster = Cluster(executors=2, standbys=1)
        self.addCleanup(self.cluster.close)
        self.cli = self.cluster.cli(BROKER.bootstrap)
        script = new_directory("script") / "job.sql"
        script.write_text(streams.word_count_job(BROKER.bootstrap, self.source, self.sink))
        self.cli.ok("submit", script, "--name", self.name)
        self.markers = []
        self.feed = Feed(self.kafka, self.source, seed=len(self.name))
        self.addCleanup(self.feed.stop)
        self.wait_for_output()

    def problems(self):
        return len(self._outcome.result.failures) + len(self._outcome.result.errors)

    def tearDown(self):
        if self.problems() > self.problems_before:
            print(self.cluster.logs())

    def wait_for_output(self):
        """Seconds until a line that is produced now has been read, counted and committed to the sink."""
        start = time.monotonic()
        marker = f"marker-{len(self.markers)}"
        self.kafka.produce(self.source, [marker])
        self.markers.append(marker)
        wait_until(lambda: marker in self.kafka.latest_by_key(self.sink), 60, f"{marker} is counted")
        return time.monotonic() - start

    def expect_in_time(self, what, end_driver):
        """The signal, and how long the job was away; what a command and a consumer take to start is in it."""
        start = time.monotonic()
        end_driver()
        self.wait_for_output()
        took = time.monotonic() - start
        print(f"{what}: {took:.2f} s from the signal to new committed output", flush=True)
        self.assertLess(took, LIMIT_SECONDS)

    def expect_reference(self):
        self.feed.stop()
        streams.expect_counts(self, self.kafka, self.sink, self.feed.lines + self.markers)
        self.assertEqual(self.cli.phase(self.name), "running")
        self.assertEqual(sorted(self.cluster.executor_names()), ["executor-1", "executor-2"])

    def test_killed_driver(self):
        self.expect_in_time("kill -9", self.cluster.driver.kill)
        self.expect_reference()

    def test_terminated_driver(self):
        self.expect_in_time("SIGTERM", lambda: self.assertEqual(self.cluster.driver.stop(), 0))
        self.expect_reference()

    def test_stopped_driver_that_wakes_up(self):
        driver = self.cluster.driver
        self.expect_in_time("SIGSTOP", lambda: driver.signal(signal.SIGSTOP))
        # Commands pass over the address that hangs.
        self.cli.wait_for_phase(self.name, "running")
        driver.signal(signal.SIGCONT)
        self.assertEqual(driver.wait(10), 1)
        self.assertIn("another driver (", driver.text())
        self.assertIn(f"has taken over directory {self.cluster.journal}", driver.text())
        self.wait_for_output()
        self.expect_reference()

    def test_driver_that_comes_back_is_the_standby_and_takes_over_again(self):
        self.expect_in_time("kill -9", self.cluster.driver.kill)
        self.cluster.start_standby(self.cluster.addresses[0])
        self.expect_in_time("kill -9 of the second", self.cluster.standbys[0].kill)
        self.expect_reference()

    def test_standby_ends_when_it_is_asked_to(self):
        standby = self.cluster.standbys[0]
        self.assertEqual(standby.stop(), 0)
        self.assertIn("stopped while another driver (", standby.text())
        self.wait_for_output()
        self.expect_reference()

    def test_driver_alone_is_back_at_once(self):
        """Its directory is free as soon as its process is gone, without waiting for the lease."""
        self.cluster.standbys[0].kill()

        def restart():
            self.cluster.driver.kill()
            self.cluster.start_driver()
        self.expect_in_time("kill -9 and a start", restart)
        self.expect_reference()


if __name__ == "__main__":
    cases.main()
