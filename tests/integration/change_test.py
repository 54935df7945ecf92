"""Jobs that change: another script, other settings, another parallelism, a savepoint under another name, one batch run again."""

import json
import unittest

from tests.harness import cases
from tests.harness.processes import Cli, Cluster, KafkaBroker, new_directory, wait_until
from tests.integration import streams

PARTITIONS = 3
BROKER = None


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()


def tearDownModule():
    BROKER.close()


class ChangeTest(unittest.TestCase):
    def setUp(self):
        self.directory = new_directory("test")
        self.kafka = Cli(bootstrap=BROKER.bootstrap)
        self.name = self._testMethodName.removeprefix("test_")[:40]
        self.source = f"{self.name}.in"
        self.sink = f"{self.name}.out"
        self.kafka.create_topic(self.source, PARTITIONS)
        self.kafka.create_topic(self.sink, PARTITIONS)
        self.cluster = Cluster(2, allow_paths=[self.directory])
        self.cli = self.cluster.cli(BROKER.bootstrap)
        self.lines = []

    def tearDown(self):
        self.cluster.close()

    def script(self, text):
        path = self.directory / f"job{len(list(self.directory.iterdir()))}.sql"
        path.write_text(text)
        return path

    def job(self, **kwargs):
        return streams.word_count_job(BROKER.bootstrap, self.source, self.sink, **kwargs)

    def feed(self, lines, job):
        self.lines += lines
        before = self.cli.records(job)
        self.kafka.produce(self.source, lines)
        wait_until(lambda: self.cli.records(job) == before + len(lines), 60, "the lines are counted")

    def expect_counts(self, sink=None):
        streams.expect_counts(self, self.kafka, sink or self.sink, self.lines)

    def submit(self, text, *arguments):
        return self.cli.json("submit", self.script(text), "--name", self.name, *arguments)

    # ---- Under the same name ----

    def test_parallelism_changes_and_counts_go_on(self):
        self.submit(self.job(), "--set", "parallelism=4")
        self.feed(streams.make_lines(800, seed=1), self.name)
        self.cli.ok("jobs", "stop", self.name)
        for parallelism in ("3", "8", "1"):
            with self.subTest(parallelism=parallelism):
                answer = self.submit(self.job(), "--set", f"parallelism={parallelism}")
                self.assertTrue(answer["resumed"])
                self.cli.wait_for_phase(self.name, "running")
                self.feed(streams.make_lines(300, seed=int(parallelism)), self.name)
                self.expect_counts()
                self.cli.ok("jobs", "stop", self.name)

    def test_a_changed_query_keeps_the_state_that_fits(self):
        self.submit(self.job())
        self.feed(streams.make_lines(500, seed=2), self.name)
        self.cli.ok("jobs", "stop", self.name)
        # Words that are rare now leave the table; the counts themselves go on.
        self.submit(self.job(having="HAVING count(*) >= 20"))
        self.cli.wait_for_phase(self.name, "running")
        self.feed(streams.make_lines(500, seed=3), self.name)
        counts = streams.count_words(self.lines)
        shown = self.kafka.latest_by_key(self.sink)
        touched = streams.count_words(streams.make_lines(500, seed=3))
        for word in touched:
            if counts[word] >= 20:
                self.assertEqual(shown.get(word), str(counts[word]), word)
        self.cli.ok("jobs", "stop", self.name)

    def test_state_without_a_place_is_named_and_refused_unless_told(self):
        self.submit(self.job())
        self.feed(streams.make_lines(200, seed=4), self.name)
        self.cli.ok("jobs", "stop", self.name)
        changed = self.job().replace("count(*)", "max(length(value))")
        refused = self.cli.run("submit", self.script(changed), "--name", self.name)
        self.assertEqual(refused.code, 1)
        self.assertIn("has no place in the new script", refused.err)
        self.assertIn("--drop-state", refused.err)
        self.assertEqual(self.cli.phase(self.name), "stopped")
        self.submit(changed, "--drop-state")
        self.cli.wait_for_phase(self.name, "running")
        self.kafka.produce(self.source, ["only now"])
        wait_until(lambda: self.kafka.latest_by_key(self.sink).get("now") == "8", 60, "the new aggregate from nothing")
        self.cli.ok("jobs", "stop", self.name)

    def test_a_poison_record_under_fail_is_passed_under_skip(self):
        text = f"""
SET batch_duration = '50 ms';
CREATE TABLE numbers (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{BROKER.bootstrap}', topic = '{self.source}', format = 'raw');
CREATE TABLE totals (parity int PRIMARY KEY, total bigint)
  WITH (connector = 'kafka', "bootstrap.servers" = '{BROKER.bootstrap}', topic = '{self.sink}', format = 'json');
INSERT INTO totals SELECT CAST(value AS int) % 2, sum(CAST(value AS bigint)) FROM numbers GROUP BY 1;
"""
        self.submit(text)
        self.kafka.produce(self.source, [str(n) for n in range(100)])
        wait_until(lambda: self.cli.records(self.name) == 100, 60, "the numbers are summed")
        self.kafka.produce(self.source, ["not a number"])
        wait_until(lambda: self.cli.phase(self.name) == "failed", 60, "the poison record fails the job")
        message = self.cli.job(self.name)["summary"]["message"]
        self.assertIn("not a number", message)
        again = self.cli.run("submit", self.script(text), "--name", self.name)
        self.assertEqual(again.code, 0, again)
        wait_until(lambda: self.cli.phase(self.name) == "failed", 60, "the same script fails the same way")
        self.submit(text.replace("format = 'raw');", "format = 'raw', on_error = 'skip');", 1))
        self.cli.wait_for_phase(self.name, "running")
        self.kafka.produce(self.source, ["1000", "1001"])

        def totals():
            return sorted(int(json.loads(value)["total"])
                          for value in self.kafka.latest_by_key(self.sink).values())
        expected = sorted([sum(range(0, 100, 2)) + 1000, sum(range(1, 100, 2)) + 1001])
        wait_until(lambda: totals() == expected, 60, "the sums go on behind the poison")
        self.assertEqual(int(self.cli.job(self.name)["summary"]["skipped_records"]), 1)
        self.cli.ok("jobs", "stop", self.name)

    # ---- Savepoints ----

    def test_another_job_begins_from_a_savepoint(self):
        self.submit(self.job())
        self.feed(streams.make_lines(500, seed=5), self.name)
        target = self.directory / "savepoint"
        answer = self.cli.json("jobs", "savepoint", self.name, "--location", target)
        self.assertGreater(answer["bytes"], 0)
        self.cli.ok("jobs", "cancel", self.name)
        other_sink = f"{self.name}.copy"
        self.kafka.create_topic(other_sink, PARTITIONS)
        copy = streams.word_count_job(BROKER.bootstrap, self.source, other_sink)
        self.cli.ok("submit", self.script(copy), "--name", "copy", "--from", target, "--set", "parallelism=5")
        self.cli.wait_for_phase("copy", "running")
        more = streams.make_lines(300, seed=6)
        self.lines += more
        self.kafka.produce(self.source, more)
        counts = streams.count_words(self.lines)
        touched = streams.count_words(more)
        wait_until(lambda: self.kafka.latest_by_key(other_sink) == {word: str(counts[word]) for word in touched}, 60,
                   "what the new lines touched counts on from the savepoint", interval=0.2)
        self.cli.ok("jobs", "stop", "copy")
        for location, words in ((self.directory / "nothing", "there is no savepoint"), (target / "x", "there is no savepoint")):
            refused = self.cli.run("submit", self.script(copy), "--name", "other", "--from", location)
            self.assertEqual(refused.code, 1)
            self.assertIn(words, refused.err)

    def test_a_damaged_savepoint_is_refused_by_the_name_of_its_file(self):
        self.submit(self.job())
        self.feed(streams.make_lines(200, seed=7), self.name)
        target = self.directory / "savepoint"
        self.cli.ok("jobs", "savepoint", self.name, "--location", target)
        state = next(path for path in target.rglob("*.state"))
        content = bytearray(state.read_bytes())
        content[len(content) // 2] ^= 1
        state.write_bytes(content)
        refused = self.cli.run("submit", self.script(self.job()), "--name", "other", "--from", target)
        self.assertEqual(refused.code, 1)
        self.assertIn(state.name, refused.err)
        self.cli.ok("jobs", "stop", self.name)

    # ---- Run again ----

    def test_a_committed_batch_is_run_again_from_a_copy_of_the_journal(self):
        self.submit(self.job(), "--set", "checkpoint_interval=200 ms")
        batches = []
        for seed in range(4):
            self.feed(streams.make_lines(200, seed=10 + seed), self.name)
            batches.append(self.cli.committed_batch(self.name))
        before = self.kafka.consume(self.sink)
        last = batches[-1]
        result = self.kafka.run("replay", self.name, "--batch", last, "--directory", self.cluster.journal)
        self.assertEqual(result.code, 0, result)
        counts = streams.count_words(self.lines)
        rows = dict(line.split(": ") for line in result.out.splitlines() if ": " in line and not line.startswith("--"))
        for word, count in rows.items():
            self.assertEqual(count, str(counts[word]), word)
        self.assertEqual(self.kafka.consume(self.sink), before, "a replay writes to no sink")
        refused = self.kafka.run("replay", self.name, "--batch", last + 1000, "--directory", self.cluster.journal)
        self.assertEqual(refused.code, 1)
        self.assertIn("is not among those that this journal has committed", refused.err)
        self.cli.ok("jobs", "stop", self.name)


if __name__ == "__main__":
    cases.main()
