"""A driver, executors and a real Kafka as processes: results equal a plain-Python reference, whatever happens to the members."""

import signal
import unittest

from tests.harness import cases
from tests.harness.processes import Cli, Cluster, KafkaBroker, NotYet, new_directory, wait_until
from tests.integration import streams

PARTITIONS = 4
BROKER = None


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()


def tearDownModule():
    BROKER.close()


class ClusterTest(unittest.TestCase):
    """Each test has topics, a cluster and a directory of its own."""

    def setUp(self):
        self.directory = new_directory("test")
        self.kafka = Cli(bootstrap=BROKER.bootstrap)
        self.name = self._testMethodName.removeprefix("test_")
        self.source = f"{self.name}.in"
        self.sink = f"{self.name}.out"
        self.kafka.create_topic(self.source, PARTITIONS)
        self.kafka.create_topic(self.sink, PARTITIONS)
        self.cluster = None
        self.problems_before = self.problems()

    def problems(self):
        return len(self._outcome.result.failures) + len(self._outcome.result.errors)

    def tearDown(self):
        if self.cluster:
            if self.problems() > self.problems_before:
                print(self.cluster.logs())
            self.cluster.close()

    def start_cluster(self, executors):
        self.cluster = Cluster(executors)
        self.cli = self.cluster.cli(BROKER.bootstrap)

    def script(self, text, name="job.sql"):
        path = self.directory / name
        path.write_text(text)
        return path

    def submit(self, text, *arguments, name=None):
        name = name or self.name
        self.cli.ok("submit", self.script(text, f"{name}.sql"), "--name", name, *arguments)
        return name

    def word_count(self, **kwargs):
        return streams.word_count_job(BROKER.bootstrap, self.source, self.sink, **kwargs)

    def expect_counts(self, lines):
        """The sink holds the reference's counts, now or soon."""
        streams.expect_counts(self, self.kafka, self.sink, lines)

    def feed_around(self, job, lines, event):
        """Produces `lines`; `event` happens when half of them are counted and the next ones are on their way."""
        half = len(lines) // 2
        self.kafka.produce(self.source, lines[:half])
        wait_until(lambda: self.cli.records(job) == half, 60, "the first half is counted")
        self.kafka.produce(self.source, lines[half:half + half // 2])
        event()
        self.kafka.produce(self.source, lines[half + half // 2:])

    # ---- Results ----

    def test_word_count_on_three_executors(self):
        lines = streams.make_lines(5000, seed=1)
        self.kafka.produce(self.source, lines)
        self.start_cluster(3)
        job = self.submit(self.word_count(), "--once")
        self.cli.wait_for_phase(job, "finished")
        self.assertEqual(self.cli.records(job), len(lines))
        self.expect_counts(lines)

    def test_results_are_the_same_in_local_mode_and_on_one_two_and_three_executors(self):
        lines = streams.make_lines(3000, seed=2)
        self.kafka.produce(self.source, lines)
        expected = {word: str(count) for word, count in streams.count_words(lines).items()}
        for executors in (0, 1, 2, 3):
            with self.subTest(executors=executors):
                self.sink = f"{self.name}.out{executors}"
                self.kafka.create_topic(self.sink, PARTITIONS)
                if executors == 0:
                    self.kafka.ok("run", self.script(self.word_count()), "--once")
                else:
                    self.start_cluster(executors)
                    job = self.submit(self.word_count(), "--once")
                    self.cli.wait_for_phase(job, "finished")
                    self.cluster.close()
                    self.cluster = None
                self.assertEqual(self.kafka.latest_by_key(self.sink), expected)

    def test_filter_and_transform_to_another_topic(self):
        lines = streams.make_lines(3000, seed=3)
        self.kafka.produce(self.source, lines)
        self.start_cluster(3)
        job = self.submit(streams.filter_job(BROKER.bootstrap, self.source, self.sink), "--once")
        self.cli.wait_for_phase(job, "finished")
        self.assertEqual(sorted(record["value"] for record in self.kafka.consume(self.sink)), streams.filtered(lines))

    def test_two_jobs_at_once(self):
        lines = streams.make_lines(3000, seed=4)
        other_sink = f"{self.name}.other"
        self.kafka.create_topic(other_sink)
        self.start_cluster(3)
        counts = self.submit(self.word_count(), name="counts")
        shouts = self.submit(streams.filter_job(BROKER.bootstrap, self.source, other_sink), name="shouts")
        for start in range(0, len(lines), 500):
            self.kafka.produce(self.source, lines[start:start + 500])
        self.expect_counts(lines)
        wait_until(lambda: self.cli.lag(shouts) == 0, 30, "the second job has read everything")
        self.assertEqual(sorted(record["value"] for record in self.kafka.consume(other_sink)), streams.filtered(lines))
        self.assertEqual({job["name"]: job["phase"] for job in self.cli.json("jobs", "list")},
                         {"counts": "running", "shouts": "running"})
        for job in (counts, shouts):
            self.cli.ok("jobs", "stop", job)
            self.assertEqual(self.cli.phase(job), "stopped")

    def test_groups_that_fall_out_of_having_become_tombstones(self):
        self.start_cluster(2)
        job = self.submit(self.word_count(having="HAVING count(*) < 3"))
        self.kafka.produce(self.source, ["a b", "a c"])
        wait_until(lambda: self.kafka.latest_by_key(self.sink) == {"a": "2", "b": "1", "c": "1"}, 60, "the first counts")
        self.kafka.produce(self.source, ["a b"])
        wait_until(lambda: self.kafka.latest_by_key(self.sink) == {"b": "2", "c": "1"}, 60, "a has fallen out")
        self.assertIn({"key": "a", "value": None},
                      [{"key": record["key"], "value": record["value"]} for record in self.kafka.consume(self.sink)])
        self.cli.ok("jobs", "stop", job)

    # ---- Members come and go ----

    def test_an_executor_that_joins_gets_work(self):
        lines = streams.make_lines(4000, seed=5)
        self.start_cluster(1)
        job = self.submit(self.word_count())
        self.kafka.produce(self.source, lines[:2000])
        wait_until(lambda: self.cli.records(job) == 2000, 60, "the first half is counted")
        self.cluster.add_executor()

        def both_have_partitions():
            return all(row["partitions"] > 0 for row in self.cli.json("executors"))
        wait_until(both_have_partitions, 60, "the new executor has partitions")
        self.kafka.produce(self.source, lines[2000:])
        self.expect_counts(lines)
        self.cli.ok("jobs", "stop", job)

    def test_an_executor_that_is_killed_changes_no_result(self):
        lines = streams.make_lines(6000, seed=6)
        self.start_cluster(3)
        job = self.submit(self.word_count())
        self.feed_around(job, lines, self.cluster.executors[1].kill)
        self.expect_counts(lines)
        wait_until(lambda: len(self.cluster.executor_names()) == 2, 30, "the lost executor is given up")
        self.assertGreaterEqual(int(self.cli.job(job)["summary"]["restarts"]), 1)
        self.cli.ok("jobs", "stop", job)

    def test_a_killed_driver_resumes_from_its_journal(self):
        self._restart_driver(signal.SIGKILL, seed=7)

    def test_a_terminated_driver_drains_and_resumes(self):
        self._restart_driver(signal.SIGTERM, seed=8)

    def _restart_driver(self, how, seed):
        lines = streams.make_lines(6000, seed=seed)
        self.start_cluster(2)
        job = self.submit(self.word_count())

        def end_driver():
            self.cluster.driver.signal(how)
            self.assertEqual(self.cluster.driver.wait(30), 0 if how == signal.SIGTERM else -signal.SIGKILL)
        self.feed_around(job, lines, end_driver)
        self.cluster.start_driver()
        self.expect_counts(lines)
        self.cli.wait_for_phase(job, "running")  # the second executor may just have come back
        self.cli.ok("jobs", "stop", job)

    def test_a_terminated_executor_drains(self):
        lines = streams.make_lines(4000, seed=9)
        self.start_cluster(2)
        job = self.submit(self.word_count())
        self.feed_around(job, lines, lambda: self.assertEqual(self.cluster.executors[0].stop(), 0))
        self.expect_counts(lines)
        self.cli.ok("jobs", "stop", job)

    def test_a_stopped_job_is_resumed_by_its_name(self):
        lines = streams.make_lines(4000, seed=10)
        self.start_cluster(2)
        job = self.submit(self.word_count())
        self.kafka.produce(self.source, lines[:2000])
        wait_until(lambda: self.cli.records(job) == 2000, 60, "the first half is counted")
        self.cli.ok("jobs", "stop", job)
        self.kafka.produce(self.source, lines[2000:])
        out = self.cli.json("submit", self.directory / f"{job}.sql", "--name", job)
        self.assertTrue(out["resumed"])
        self.expect_counts(lines)
        self.cli.ok("jobs", "stop", job)

    # ---- What a person sees ----

    def test_logs_show_what_a_print_sink_showed(self):
        self.start_cluster(2)
        self.kafka.produce(self.source, ["a b", "a"])
        job = self.submit(streams.print_job(BROKER.bootstrap, self.source, "100 ms"), "--once")
        self.cli.wait_for_phase(job, "finished")
        shown = self.cli.ok("jobs", "logs", job).splitlines()
        self.assertIn("a: 2", shown)
        self.assertIn("b: 1", shown)
        self.assertTrue(any(line.startswith("-- batch ") for line in shown), shown)

    def test_metrics_tell_records_and_lag(self):
        self.start_cluster(1)
        job = self.submit(self.word_count())
        self.kafka.produce(self.source, streams.make_lines(500, seed=11))
        wait_until(lambda: self.cli.records(job) == 500, 60, "the lines are counted")
        page = self.cluster.metrics()
        self.assertRegex(page, r'(?m)^millrace_\w*records\w*\{[^}]*\} 500$')
        self.assertRegex(page, r"(?m)^millrace_\w*lag\w*\{")
        self.cli.ok("jobs", "stop", job)

    def test_offsets_are_committed_to_the_consumer_group(self):
        """Another program's lag tool shows the truth."""
        self.start_cluster(1)
        script = self.word_count().replace("format = 'raw');", f"format = 'raw', \"group\" = '{self.name}');", 1)
        job = self.submit(script)
        self.kafka.produce(self.source, streams.make_lines(400, seed=12))
        wait_until(lambda: self.cli.records(job) == 400, 60, "the lines are counted")

        def described():
            out = BROKER.java("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", BROKER.bootstrap, "--describe",
                              "--group", self.name).out
            rows = [line.split() for line in out.splitlines() if f" {self.source} " in line]
            # A partition that got none of the lines has no offset to commit, and no row.
            committed, ends, lag = ([int(row[i]) for row in rows] for i in (3, 4, 5))
            if sum(committed) != 400 or sum(ends) != 400 or any(lag):
                raise NotYet(out)
            return True
        wait_until(described, 60, "Kafka's own tool shows 400 committed and no lag", interval=0.5)
        self.cli.ok("jobs", "stop", job)


if __name__ == "__main__":
    cases.main()
