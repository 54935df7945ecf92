"""What a new user does first: the README's tour on a real Kafka, the demo, and every example as it is."""

import json
import os
import pathlib
import re
import unittest

from tests.harness import cases
from tests.harness.processes import (ROOT, Cli, Cluster, KafkaBroker, Process, find_file, millrace_path, new_directory,
                                     run, wait_until)
from tests.integration import streams

BROKER = None
README = ROOT / "README.md"
EXAMPLES = ROOT / "examples"


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()


def tearDownModule():
    BROKER.close()


def tour_of_readme():
    """The shell lines of README's classic tour."""
    return re.search(r"classic_test\.py runs this block -->\n```sh\n(.*?)```", README.read_text(), re.DOTALL)[1]


def shown_rows(text):
    """word -> the last count shown, from what a print sink printed."""
    return dict(line.split(": ") for line in text.splitlines() if re.fullmatch(r"[^-]\S*: \d+", line))


class Workspace:
    """A directory with the examples, which speak to the test's broker, and `millrace` in PATH."""

    def __init__(self, driver=None):
        self.directory = new_directory("tour")
        (self.directory / "bin").mkdir()
        for binary in ("cli/millrace", "driver/millrace-driver", "executor/millrace-executor"):
            (self.directory / "bin" / pathlib.Path(binary).name).symlink_to(find_file(binary, f"bazel-bin/{binary}"))
        (self.directory / "examples").mkdir()
        for path in EXAMPLES.iterdir():
            text = path.read_text().replace("localhost:9092", BROKER.bootstrap)
            text = text.replace("/tmp/", f"{self.directory}/")
            (self.directory / "examples" / path.name).write_text(text)
        self.env = {"PATH": f"{self.directory}/bin:{os.environ['PATH']}", "MILLRACE_BOOTSTRAP": BROKER.bootstrap}
        if driver:
            self.env["MILLRACE_DRIVER"] = driver

    def bash(self, script, seconds=120):
        return run(["bash", "-euo", "pipefail", "-c", script], env=self.env, cwd=self.directory, seconds=seconds)


class ClassicTourTest(unittest.TestCase):
    """The commands are the README's own, in its order."""

    def test_the_tour_of_the_readme(self):
        cluster = Cluster(1)
        self.addCleanup(cluster.close)
        workspace = Workspace(cluster.address)
        # The test's cluster is there already, on ports of its own; everything else is run as printed.
        tour = [line for line in tour_of_readme().splitlines() if not line.endswith("&")]
        commands = [line for line in tour if line and not line.startswith("#")]
        self.assertEqual(len(commands), 9, commands)
        create, produce, consume, count, submit, logs, listing, lag, stop = commands

        for command in (create, produce):
            result = workspace.bash(command)
            self.assertEqual(result.code, 0, result)
        self.check_consumed(workspace.bash(consume))
        self.check_counted(workspace.bash(count))
        result = workspace.bash(submit)
        self.assertEqual(result.code, 0, result)
        cli = cluster.cli(BROKER.bootstrap)
        wait_until(lambda: cli.records("words") == 100, 60, "the 100 messages are counted")
        wait_until(lambda: shown_rows(workspace.bash(logs).out) == self.expected(), 30, "logs show the counts")
        self.assertRegex(workspace.bash(listing).out, r"words +running")
        lines = workspace.bash(lag).out.splitlines()
        self.assertRegex(lines[0], r"^table +partition +committed +stable end +high watermark +lag")
        self.assertEqual(len(lines), 5, lines)
        self.assertEqual([line.split()[5] for line in lines[1:]], ["0"] * 4)
        self.assertIn("stopped", workspace.bash(stop).out)

    @staticmethod
    def expected():
        messages = [f"this is message {i}" for i in range(1, 101)]
        return {word: str(count) for word, count in streams.count_words(messages).items()}

    def check_consumed(self, result):
        """Each line has partition, offset, key and value; together they are what was produced."""
        self.assertEqual(result.code, 0, result)
        rows = [line.split("\t") for line in result.out.splitlines()]
        self.assertEqual({(key, value) for _, _, key, value in rows},
                         {(f"key-{i}", f"this is message {i}") for i in range(1, 101)})
        self.assertEqual(len(rows), 100)
        offsets = {}
        for partition, offset, _, _ in rows:
            offsets.setdefault(int(partition), []).append(int(offset))
        self.assertEqual(set(offsets), {0, 1, 2, 3})
        for of_partition in offsets.values():
            self.assertEqual(of_partition, list(range(len(of_partition))))

    def check_counted(self, result):
        self.assertEqual(result.code, 0, result)
        self.assertEqual(shown_rows(result.out), self.expected())
        self.assertRegex(result.out, r"(?m)^-- batch \d+, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00, [\d,]+ records/s$")

    def test_keys_go_to_the_partitions_that_java_would_choose(self):
        """murmur2, as Kafka's own producer: both see the same key in the same partition."""
        cli = Cli(bootstrap=BROKER.bootstrap)
        cli.create_topic("ours", 4)
        cli.create_topic("javas", 4)
        lines = [f"key-{i}\tvalue-{i}" for i in range(40)]
        cli.produce("ours", lines)
        result = BROKER.java("kafka.tools.ConsoleProducer", "--bootstrap-server", BROKER.bootstrap, "--topic",
                             "javas", "--property", "parse.key=true", stdin="".join(line + "\n" for line in lines))
        self.assertEqual(result.code, 0, result)
        placed = [{record["key"]: record["partition"] for record in cli.consume(topic)} for topic in ("ours", "javas")]
        self.assertEqual(len(placed[0]), 40)
        self.assertEqual(placed[0], placed[1])


class TopicsTest(unittest.TestCase):
    def setUp(self):
        self.cli = Cli(bootstrap=BROKER.bootstrap)

    def test_create_list_describe_delete(self):
        self.cli.ok("topics", "create", "life", "--partitions", "3", "--config", "min.insync.replicas=1", "--config",
                    "retention.ms=1234567")
        self.assertIn({"topic": "life", "partitions": 3},
                      [{key: row[key] for key in ("topic", "partitions")} for row in self.cli.json("topics", "list")])
        self.cli.produce("life", ["a", "b", "c", "d"])
        described = self.cli.json("topics", "describe", "life")
        self.assertEqual([row["partition"] for row in described], [0, 1, 2])
        self.assertEqual(sum(row["end"] - row["begin"] for row in described), 4)
        java = BROKER.java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", BROKER.bootstrap, "--describe",
                           "--topic", "life")
        self.assertIn("retention.ms=1234567", java.out)
        self.cli.ok("topics", "delete", "life")
        wait_until(lambda: "life" not in [row["topic"] for row in self.cli.json("topics", "list")], 30, "it is gone")

    def test_consume_from_where_and_until_where_asked(self):
        self.cli.create_topic("ranges")
        self.cli.produce("ranges", [f"k{i}\tv{i}" for i in range(10)])

        def values(*arguments):
            out = self.cli.ok("consume", "ranges", *arguments, "--output", "json")
            return [json.loads(line)["value"] for line in out.splitlines()]
        self.assertEqual(values("--from", "7", "--until", "end"), ["v7", "v8", "v9"])
        self.assertEqual(values("--from", "2", "--until", "4"), ["v2", "v3"])
        self.assertEqual(values("--from", "earliest", "--count", "2"), ["v0", "v1"])
        self.assertEqual(values("--partition", "0", "--from", "9", "--until", "end"), ["v9"])
        self.assertEqual(values("--from", "latest", "--until", "end"), [])

    def test_produce_keeps_lines_whole_without_keys(self):
        self.cli.create_topic("whole")
        self.cli.ok("produce", "whole", "--no-key", stdin="a\tb\nplain\n\nlast without newline")
        self.assertEqual([(record["key"], record["value"]) for record in self.cli.consume("whole")],
                         [(None, "a\tb"), (None, "plain"), (None, ""), (None, "last without newline")])

    def test_consume_as_json_keeps_bytes_that_are_no_text(self):
        self.cli.create_topic("bytes")
        directory = new_directory("bytes")
        (directory / "hex").write_text("ff00\n6162\n")
        (directory / "job.sql").write_text(f"""
CREATE TABLE hex (value text) WITH (connector = 'file', path = '{directory}/hex', format = 'raw');
CREATE TABLE bytes (value bytea)
  WITH (connector = 'kafka', "bootstrap.servers" = '{BROKER.bootstrap}', topic = 'bytes', format = 'raw');
INSERT INTO bytes SELECT decode(value, 'hex') FROM hex;
""")
        self.cli.ok("run", directory / "job.sql", "--once")
        shown = [{name: record[name] for name in record if name.startswith("value")}
                 for record in self.cli.consume("bytes")]
        self.assertEqual(shown, [{"value_base64": "/wA="}, {"value": "ab"}])


class DemoTest(unittest.TestCase):
    def test_demo_stops_after_the_batches_that_were_asked_for(self):
        result = run([millrace_path(), "demo", "--batches", "3", "--rate", "500", "--batch-duration", "200 ms"])
        self.assertEqual(result.code, 0, result)
        headers = re.findall(r"(?m)^-- batch (\d+), .* ([\d,]+) records/s$", result.out)
        self.assertEqual(len(headers), 3, result)
        rows = [line for line in result.out.splitlines() if line and not line.startswith("--")]
        for line in rows:
            self.assertRegex(line, r"^\S+: \d+$")
        self.assertGreater(len(rows), 10)


class ExamplesTest(unittest.TestCase):
    """Each runs as its comment says, once."""

    def run_example(self, workspace, name):
        """Runs what the example's comment tells to run; `run` with --once."""
        text = (workspace.directory / "examples" / name).read_text()
        commands = [line.removeprefix("--   ") for line in text.splitlines() if line.startswith("--   ")]
        for command in commands:
            if " run " in command and "--once" not in command:
                command += " --once"
            result = workspace.bash(command)
            if "topics create" in command and "exists" in result.err:
                continue
            self.assertEqual(result.code, 0, f"{command}: {result}")
        return result

    def test_word_count(self):
        workspace = Workspace()
        Cli(bootstrap=BROKER.bootstrap).run("topics", "delete", "test")
        self.assertIn("not: ", self.run_example(workspace, "word_count.sql").out)

    def test_counts_to_topic(self):
        workspace = Workspace()
        self.run_example(workspace, "counts_to_topic.sql")
        for value in Cli(bootstrap=BROKER.bootstrap).latest_by_key("word-counts").values():
            self.assertGreater(json.loads(value)["count"], 1)

    def test_filter_topic(self):
        workspace = Workspace()
        self.run_example(workspace, "filter_topic.sql")
        records = Cli(bootstrap=BROKER.bootstrap).consume("large-orders")
        self.assertEqual([json.loads(record["value"]) for record in records],
                         [{"id": 1, "customer": "ANN", "total": 120.50, "rebate": 3.62}])

    def test_orders_to_file(self):
        workspace = Workspace()
        result = self.run_example(workspace, "orders_to_file.sql")
        orders = [json.loads(line) for line in (EXAMPLES / "orders.json").read_text().splitlines()]
        self.assertEqual(sorted(result.out.splitlines()),
                         sorted(f"{order['id']},{order['customer']},{item}" for order in orders for item in order["items"]))

    def test_generate(self):
        """Has no end: it runs until it is told to stop."""
        workspace = Workspace()
        process = Process("generate", [millrace_path(), "run", workspace.directory / "examples" / "generate.sql", "--metrics",
                                       "127.0.0.1:0"], workspace.directory)
        self.addCleanup(process.close)
        wait_until(lambda: re.search(r"http://\S+/metrics", process.text()), 30, "the job runs")
        self.assertEqual(process.stop(), 0)


if __name__ == "__main__":
    cases.main()
