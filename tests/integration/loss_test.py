"""Records that cannot be used, and records that are gone: jobs over a real Kafka, as a user sees them."""

import json
import unittest

from tests.harness import cases
from tests.harness.processes import Cluster, KafkaBroker, new_directory, wait_until

BROKER = None


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()


def tearDownModule():
    BROKER.close()


class LossCase(unittest.TestCase):
    def setUp(self):
        self.name = self._testMethodName.removeprefix("test_").replace("_", "-")
        self.directory = new_directory("test")
        self.cluster = Cluster(1)
        self.addCleanup(self.cluster.close)
        self.cli = self.cluster.cli(BROKER.bootstrap)
        for topic in (self.name, f"{self.name}-out", f"{self.name}-dead"):
            self.cli.create_topic(topic)

    def kafka(self, topic, options=""):
        return f"""connector = 'kafka', "bootstrap.servers" = '{BROKER.bootstrap}', topic = '{topic}'{options}"""

    def submit(self, source_format, options, query, more=""):
        script = self.directory / "job.sql"
        script.write_text(f"""SET batch_duration = '50 ms';
CREATE TABLE source ({source_format}) WITH ({self.kafka(self.name, options)});
CREATE TABLE sink (value text) WITH ({self.kafka(self.name + '-out', ", format = 'raw'")});
{more}
INSERT INTO sink {query};
""")
        return self.cli.run("submit", script, "--name", self.name)

    def submit_lines(self, options=""):
        return self.submit("value text", f", format = 'raw'{options}", "SELECT value FROM source")

    def values(self, topic):
        return [record["value"] for record in self.cli.consume(topic)]

    def move_log_start(self, offset):
        """With Kafka's own tool."""
        request = self.directory / "offsets.json"
        request.write_text(json.dumps(
            {"version": 1, "partitions": [{"topic": self.name, "partition": 0, "offset": offset}]}))
        result = BROKER.java("org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", BROKER.bootstrap,
                             "--offset-json-file", request)
        self.assertEqual(result.code, 0, result)

    def summary(self):
        return self.cli.job(self.name)["summary"]

    def wait_for_failure(self, *words):
        self.cli.wait_for_phase(self.name, "failed")
        for word in words:
            self.assertIn(word, self.summary()["message"])


class DeadLettersTest(LossCase):
    def test_failed_records_go_to_a_topic(self):
        dead = (f"""CREATE TABLE dead (error text, topic text, "partition" int, "offset" bigint, key text, value text)
  WITH ({self.kafka(self.name + '-dead', ", format = 'json'")});""")
        lines = ['{"n": 5}', '{"n": 5', '{"n": 0}', '{"n": 2}', "¡"]
        self.cli.produce(self.name, lines)
        result = self.submit("n bigint", ", format = 'json', on_error = 'table:dead'",
                             "SELECT (10 / n)::text FROM source", dead)
        self.assertEqual(result.code, 0, result)
        wait_until(lambda: int(self.summary().get("skipped_records", 0)) == 3, 60, "three records were skipped")
        self.assertEqual(self.values(f"{self.name}-out"), ["2", "5"])
        rows = [json.loads(value) for value in self.values(f"{self.name}-dead")]
        self.assertEqual([(row["topic"], row["partition"], row["offset"], row["value"]) for row in rows],
                         [(self.name, 0, offset, lines[offset]) for offset in (1, 2, 4)])
        self.assertIn("division by zero", rows[1]["error"])
        for row in rows:
            self.assertIn(f"record at offset {row['offset']} of partition {self.name}/0", row["error"])
        # It goes on, also through a restart.
        self.cli.ok("jobs", "stop", self.name)
        self.cli.produce(self.name, ["bad", '{"n": 1}'])
        result = self.submit("n bigint", ", format = 'json', on_error = 'table:dead'",
                             "SELECT (10 / n)::text FROM source", dead)
        self.assertEqual(result.code, 0, result)
        wait_until(lambda: self.values(f"{self.name}-out") == ["2", "5", "10"], 60, "the good record is out")
        self.assertEqual([json.loads(value)["offset"] for value in self.values(f"{self.name}-dead")], [1, 2, 4, 5])


class DataLossTest(LossCase):
    def lose_two_of_five(self, options=""):
        """A job that has read a, b and stops; c, d are gone when it goes on, e is there."""
        self.cli.produce(self.name, ["a", "b"])
        self.assertEqual(self.submit_lines(options).code, 0)
        wait_until(lambda: self.cli.records(self.name) == 2, 60, "two records are read")
        self.cli.ok("jobs", "stop", self.name)
        self.cli.produce(self.name, ["c", "d", "e"])
        self.move_log_start(4)
        return self.submit_lines(options)

    def test_loss_fails_and_names_the_range(self):
        self.lose_two_of_five()
        self.wait_for_failure(f"topic {self.name} partition 0", "offsets [2, 4) are lost", "on_data_loss = 'skip'")
        self.assertEqual(self.values(f"{self.name}-out"), ["a", "b"])

    def test_loss_is_skipped_and_counted(self):
        result = self.lose_two_of_five(", on_data_loss = 'skip'")
        self.assertEqual(result.code, 0, result)
        wait_until(lambda: self.values(f"{self.name}-out") == ["a", "b", "e"], 60, "the last record is out")
        wait_until(lambda: int(self.summary().get("lost_records", 0)) == 2, 60, "two records are counted as lost")
        self.assertEqual(self.cli.phase(self.name), "running")

    def recreate(self):
        self.cli.ok("topics", "delete", self.name)
        self.cli.create_topic(self.name)

    def test_recreated_topic_is_refused_at_the_next_start(self):
        self.cli.produce(self.name, ["a", "b"])
        self.assertEqual(self.submit_lines().code, 0)
        wait_until(lambda: self.cli.records(self.name) == 2, 60, "two records are read")
        self.cli.ok("jobs", "stop", self.name)
        self.recreate()
        self.cli.produce(self.name, ["c", "d", "e"])
        result = self.submit_lines()
        self.assertNotEqual(result.code, 0, result)
        self.assertIn(f"the topic of partition {self.name}/0 was deleted and created again", result.err)
        self.assertEqual(self.values(f"{self.name}-out"), ["a", "b"])

    def test_recreated_topic_fails_a_running_job(self):
        self.cli.produce(self.name, ["a", "b"])
        self.assertEqual(self.submit_lines().code, 0)
        wait_until(lambda: self.cli.records(self.name) == 2, 60, "two records are read")
        self.recreate()
        self.cli.wait_for_phase(self.name, "failed")
        message = self.summary()["message"]
        self.assertIn(self.name, message)
        self.assertRegex(message, "deleted and created again|no longer exists|does not exist")


class PatternTest(LossCase):
    """One of several topics that a pattern means is deleted."""

    def setUp(self):
        super().setUp()
        self.topics = [f"{self.name}.{letter}" for letter in "ab"]
        for topic in self.topics:
            self.cli.create_topic(topic)

    def submit_pattern(self, options="", settings=""):
        script = self.directory / "job.sql"
        script.write_text(f"""SET batch_duration = '50 ms';
{settings}
CREATE TABLE source (value text) WITH ({self.kafka(f"/{self.name}[.].*/", ", format = 'raw'" + options)});
CREATE TABLE sink (value text) WITH ({self.kafka(self.name + '-out', ", format = 'raw'")});
INSERT INTO sink SELECT value FROM source;
""")
        return self.cli.run("submit", script, "--name", self.name)

    def retired(self):
        return {row["partition"]: row["retired"] for row in self.cli.json("lag", self.name) if row["retired"]}

    def test_a_topic_that_was_read_is_retired_and_may_come_again(self):
        for topic in self.topics:
            self.cli.produce(topic, [f"1 of {topic}"])
        self.assertEqual(self.submit_pattern().code, 0)
        wait_until(lambda: self.cli.records(self.name) == 2, 60, "both topics are read")
        deleted, stays = self.topics
        self.cli.ok("topics", "delete", deleted)
        wait_until(lambda: f"{deleted}/0" in self.retired(), 60, "the deleted topic is retired")
        self.assertIn("its topic was deleted", self.retired()[f"{deleted}/0"])
        self.cli.produce(stays, ["2"])
        wait_until(lambda: "2" in self.values(f"{self.name}-out"), 60, "the other topic goes on")
        # Under its name comes another topic, which is read from its beginning.
        self.cli.create_topic(deleted)
        self.cli.produce(deleted, ["3"])
        wait_until(lambda: "3" in self.values(f"{self.name}-out"), 60, "the new topic is read")
        # A job that is submitted again finds it all as it was.
        self.cli.ok("jobs", "stop", self.name)
        self.cli.produce(deleted, ["4"])
        self.assertEqual(self.submit_pattern().code, 0)
        wait_until(lambda: "4" in self.values(f"{self.name}-out"), 60, "it goes on after a stop")
        self.assertEqual(sorted(self.values(f"{self.name}-out")),
                         sorted([f"1 of {deleted}", f"1 of {stays}", "2", "3", "4"]))

    def test_unread_records_of_a_deleted_topic_fail_the_job_until_it_may_skip_them(self):
        deleted, stays = self.topics
        self.cli.produce(deleted, [str(number) for number in range(1000)])
        slowly = "SET max_rate_per_partition = 20;"
        self.assertEqual(self.submit_pattern(settings=slowly).code, 0)
        wait_until(lambda: self.cli.records(self.name) > 0, 60, "some records are read")
        self.cli.ok("topics", "delete", deleted)
        self.wait_for_failure(f"{deleted}", "are lost", "on_data_loss = 'skip'")
        self.cli.produce(stays, ["goes on"])
        result = self.submit_pattern(", on_data_loss = 'skip'", slowly)
        self.assertEqual(result.code, 0, result)
        wait_until(lambda: "goes on" in self.values(f"{self.name}-out"), 60, "the other topic is read")
        self.assertEqual(self.cli.phase(self.name), "running")

    def test_another_topic_retires_the_old_one_and_says_so(self):
        old, new = self.topics
        text = lambda topic: f"""SET batch_duration = '50 ms';
CREATE TABLE source (value text) WITH ({self.kafka(topic, ", format = 'raw'")});
CREATE TABLE sink (value text) WITH ({self.kafka(self.name + '-out', ", format = 'raw'")});
INSERT INTO sink SELECT value FROM source;
"""
        script = self.directory / "job.sql"
        for topic in self.topics:
            self.cli.produce(topic, [f"1 of {topic}"])
        script.write_text(text(old))
        self.cli.ok("submit", script, "--name", self.name)
        wait_until(lambda: self.cli.records(self.name) == 1, 60, "the old topic is read")
        self.cli.ok("jobs", "stop", self.name)
        script.write_text(text(new))
        result = self.cli.run("submit", script, "--name", self.name)
        self.assertEqual(result.code, 0, result)
        self.assertIn(f"partition {old}/0", result.err)
        self.assertIn("the script does not select it any more", result.err)
        self.cli.produce(old, ["2 of the old one"])
        self.cli.produce(new, ["2 of the new one"])
        wait_until(lambda: "2 of the new one" in self.values(f"{self.name}-out"), 60, "the new topic is read")
        self.assertEqual(sorted(self.values(f"{self.name}-out")), sorted([f"1 of {old}", f"1 of {new}", "2 of the new one"]))


if __name__ == "__main__":
    cases.main()
