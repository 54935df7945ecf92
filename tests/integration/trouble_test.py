"""Bad input and trouble: each ends in a message that says what, where and what to do, with the right exit code."""

import os
import subprocess
import time
import unittest

from tests.harness import cases
from tests.harness.processes import (Cli, Cluster, KafkaBroker, Process, find_file, free_ports, millrace_path,
                                     new_directory, run, wait_until)
from tests.integration import streams

BROKER = None


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()


def tearDownModule():
    BROKER.close()


class TroubleCase(unittest.TestCase):
    def setUp(self):
        self.directory = new_directory("test")
        self.cli = Cli(bootstrap=BROKER.bootstrap)
        self.name = self._testMethodName.removeprefix("test_")

    def script(self, text, name="job.sql"):
        path = self.directory / name
        path.write_text(text)
        return path

    def expect_failure(self, result, code, *words):
        """The exit code, the words on stderr, and nothing that looks like a crash."""
        self.assertEqual(result.code, code, result)
        for word in words:
            self.assertIn(word, result.err)
        self.assertNotIn("Check failed", result.err)
        self.assertRegex(result.err, r"(?m)^millrace: ")

    def run_script(self, text, *arguments, seconds=60):
        return self.cli.run("run", self.script(text), "--once", *arguments, seconds=seconds)

    def kafka_to_print(self, topic="test", options="", settings="", bootstrap=None):
        return f"""{settings}
CREATE TABLE lines (value text) WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap or BROKER.bootstrap}',
  topic = '{topic}', format = 'raw'{options});
CREATE TABLE shown (value text) WITH (connector = 'print');
INSERT INTO shown SELECT value FROM lines;
"""


class BadInputTest(TroubleCase):
    """Nothing is half-done: the job never starts."""

    def test_sql_error_shows_the_place(self):
        script = self.kafka_to_print().replace("SELECT value", "SELECT valeu")
        result = self.run_script(script)
        self.expect_failure(result, 1, "job.sql", "line 5, column 26", '"valeu"', '"value"')
        lines = result.err.splitlines()
        caret = next(i for i, line in enumerate(lines) if line.strip() == "^")
        self.assertEqual(lines[caret - 1][lines[caret].index("^"):].split(" ")[0], "valeu")

    def test_syntax_error_shows_the_place(self):
        result = self.run_script(self.kafka_to_print().replace("INSERT INTO", "INSERT INTOO"))
        self.expect_failure(result, 1, "job.sql", "line 5", "syntax error", "^")

    def test_missing_script(self):
        self.expect_failure(self.cli.run("run", self.directory / "none.sql"), 1, "none.sql", "No such file")

    def test_unknown_topic_lists_near_names(self):
        self.cli.create_topic("sensor-readings")
        result = self.run_script(self.kafka_to_print("sensor-reading"))
        self.expect_failure(result, 1, "sensor-reading", "sensor-readings", "topic")

    def test_unreachable_broker_within_ten_seconds(self):
        port = free_ports(1)[0]
        begun = time.monotonic()
        result = self.run_script(self.kafka_to_print(bootstrap=f"127.0.0.1:{port}"))
        self.assertLess(time.monotonic() - begun, 12)  # 10 s and the process's own start and end
        self.expect_failure(result, 1, f"127.0.0.1:{port}")

    def test_unknown_property_lists_the_allowed(self):
        result = self.run_script(self.kafka_to_print(options=", \"fetch.wait.max\" = '5'"))
        self.expect_failure(result, 1, "fetch.wait.max", "fetch.wait.max.ms")

    def test_dangerous_property_is_refused(self):
        result = self.run_script(self.kafka_to_print(options=", \"plugin.library.paths\" = '/tmp/evil.so'"))
        self.expect_failure(result, 1, "plugin.library.paths")

    def test_unknown_setting_in_the_script_lists_the_allowed(self):
        result = self.run_script(self.kafka_to_print(settings="SET batch_duraton = '1 s';"))
        self.expect_failure(result, 1, "batch_duraton", "batch_duration", "checkpoint_location")

    def test_wrong_value_of_a_setting_says_the_allowed(self):
        result = self.run_script(self.kafka_to_print(settings="SET isolation_level = 'dirty';"))
        self.expect_failure(result, 1, "isolation_level", "dirty", "read_committed", "read_uncommitted")

    def test_unknown_setting_on_the_command_line_is_wrong_usage(self):
        result = self.run_script(self.kafka_to_print(), "--set", "batch_duraton=1 s")
        self.expect_failure(result, 2, "batch_duraton", "batch_duration")

    def test_setting_without_a_value_is_wrong_usage(self):
        self.expect_failure(self.run_script(self.kafka_to_print(), "--set", "batch_duration"), 2, "NAME=VALUE")

    def test_unknown_option_connector_and_format_list_what_there_is(self):
        for change, words in ((("'raw'", "'avroo'"), ("avroo", "json", "csv", "raw")),
                              (("'kafka'", "'kafak'"), ("kafak", "kafka", "file", "generator")),
                              (("'print'", "'prnt'"), ("prnt", "print", "blackhole"))):
            with self.subTest(change=change):
                self.expect_failure(self.run_script(self.kafka_to_print().replace(*change)), 1, *words)

    def test_wrong_usage(self):
        for arguments in ([], ["rnu"], ["run"], ["run", "x.sql", "--onec"], ["lag"], ["jobs"], ["jobs", "show"],
                          ["run", "x.sql", "--slots", "0"], ["topics", "create"], ["jobs", "list", "--output", "xml"]):
            with self.subTest(arguments=arguments):
                self.expect_failure(self.cli.run(*arguments), 2, "--help")

    def test_unknown_command_lists_those_there_are(self):
        self.expect_failure(self.cli.run("rnu"), 2, "no command 'rnu' after 'millrace'", "run, replay")
        self.expect_failure(self.cli.run("jobs", "strop", "x"), 2, "no command 'strop' after 'millrace jobs'", "stop, cancel")
        self.expect_failure(self.cli.run("topics"), 2, "a command is missing after 'millrace topics'", "create")

    def test_retracting_query_into_an_append_only_sink_is_refused_with_the_reason(self):
        self.cli.create_topic("append.only")
        result = self.run_script(f"""
{streams.lines_table(BROKER.bootstrap, 'append.only')}
CREATE TABLE counts (word text, count bigint) WITH (connector = 'kafka', "bootstrap.servers" = '{BROKER.bootstrap}',
  topic = 'append.only', format = 'json');
INSERT INTO counts SELECT value, count(*) FROM lines GROUP BY value;""")
        self.expect_failure(result, 1, "PRIMARY KEY", "counts")

    def test_topic_that_exists_is_not_created_again(self):
        self.cli.create_topic("already.there")
        self.expect_failure(self.cli.run("topics", "create", "already.there"), 1, "already.there", "exists")

    def test_topics_commands_on_an_unknown_topic(self):
        self.cli.create_topic("harvest")
        for arguments in (["topics", "describe", "harvets"], ["topics", "delete", "harvets"],
                          ["consume", "harvets", "--until", "end"]):
            with self.subTest(arguments=arguments):
                self.expect_failure(self.cli.run(*arguments), 1, "harvets", "harvest")

    def test_every_command_has_help_with_an_example(self):
        commands = [[name] for name in ("demo", "run", "explain", "submit", "jobs", "executors", "lag", "topics",
                                        "produce", "consume")]
        commands += [["jobs", name] for name in ("list", "show", "stop", "cancel", "logs")]
        commands += [["topics", name] for name in ("create", "list", "describe", "delete")]
        for command in commands:
            with self.subTest(command=command):
                result = self.cli.run(*command, "--help")
                self.assertEqual(result.code, 0)
                self.assertIn(f"millrace {' '.join(command)}", result.out.split("Examples:")[1])


class UndecodableRecordTest(TroubleCase):
    def table(self, on_error):
        self.cli.create_topic(self.name)
        self.cli.produce(self.name, ['{"n": 1}', '{"n": 2', '{"n": 3}'])
        return f"""
CREATE TABLE numbers (n bigint) WITH (connector = 'kafka', "bootstrap.servers" = '{BROKER.bootstrap}',
  topic = '{self.name}', format = 'json', on_error = '{on_error}');
CREATE TABLE shown (n bigint) WITH (connector = 'print');
INSERT INTO shown SELECT n FROM numbers;"""

    def test_fail_names_topic_partition_and_offset(self):
        result = self.run_script(self.table("fail"))
        self.expect_failure(result, 1, self.name, "partition 0", "offset 1")

    def test_skip_goes_on_and_counts(self):
        result = self.run_script(self.table("skip"))
        self.assertEqual(result.code, 0, result)
        self.assertEqual([line for line in result.out.splitlines() if line and not line.startswith("--")], ["1", "3"])

    def test_skipped_records_are_shown_by_the_job(self):
        cluster = Cluster(1)
        self.addCleanup(cluster.close)
        cli = cluster.cli(BROKER.bootstrap)
        cli.ok("submit", self.script(self.table("skip")), "--name", "skips", "--once")
        cli.wait_for_phase("skips", "finished")
        job = cli.job("skips")
        self.assertEqual(int(job["summary"]["skipped_records"]), 1)
        for word in (self.name, "offset 1"):
            self.assertIn(word, job["first_skipped"])


class ClusterTroubleTest(TroubleCase):
    def test_no_driver_says_where_and_what_to_do(self):
        address = f"127.0.0.1:{free_ports(1)[0]}"
        script = self.script(self.kafka_to_print())
        for arguments in (["jobs", "list"], ["submit", script], ["lag", "x"], ["executors"], ["jobs", "stop", "x"]):
            with self.subTest(arguments=arguments):
                result = Cli(driver=address).run(*arguments)
                self.expect_failure(result, 1, address, "--driver", "MILLRACE_DRIVER", "millrace-driver")

    def test_unknown_job_is_named(self):
        cluster = Cluster(0)
        self.addCleanup(cluster.close)
        self.expect_failure(cluster.cli().run("jobs", "show", "nothing"), 1, "nothing")

    def test_job_without_executors_waits_and_says_so(self):
        self.cli.create_topic(self.name)
        self.cli.produce(self.name, ["x"])
        cluster = Cluster(0)
        self.addCleanup(cluster.close)
        cli = cluster.cli(BROKER.bootstrap)
        cli.ok("submit", self.script(self.kafka_to_print(self.name)), "--name", "waits", "--once")
        cli.wait_for_phase("waits", "waiting")
        self.assertIn("executor", cli.job("waits")["summary"]["message"])
        self.assertIn("executor", cli.ok("jobs", "list"))
        cluster.add_executor()
        cli.wait_for_phase("waits", "finished")

    def test_port_in_use_is_named(self):
        cluster = Cluster(0)
        self.addCleanup(cluster.close)
        driver = find_file("driver/millrace-driver", "bazel-bin/driver/millrace-driver")
        result = run([driver, "--listen", cluster.address, "--directory", self.directory / "other"], seconds=20)
        self.assertEqual(result.code, 1, result)
        for word in (cluster.address, "in use"):
            self.assertIn(word, result.err)

    def test_metrics_port_in_use_is_named(self):
        cluster = Cluster(0)
        self.addCleanup(cluster.close)
        result = self.cli.run("run", self.script(self.kafka_to_print()), "--metrics", cluster.address)
        self.expect_failure(result, 1, cluster.address, "in use")

    def test_journal_directory_has_one_driver(self):
        cluster = Cluster(0)
        self.addCleanup(cluster.close)
        result = self.cli.run("run", self.script(self.kafka_to_print()), "--set", f"checkpoint_location={cluster.journal}")
        self.expect_failure(result, 1, str(cluster.journal), "in use by another driver", cluster.address)

    def test_a_script_from_the_network_reaches_only_what_the_operator_names(self):
        allowed, outside = self.directory / "allowed", self.directory / "outside"
        allowed.mkdir()
        outside.mkdir()
        (outside / "secret.txt").write_text("secret\n")
        (allowed / "link").symlink_to(outside)
        (allowed / "lines.txt").write_text("a line\n")
        cluster = Cluster(1, driver_arguments=["--allow-secret", "env:MILLRACE_TEST_*"], allow_paths=[allowed])
        self.addCleanup(cluster.close)
        cli = cluster.cli(BROKER.bootstrap)

        def script(source="'generator', rows = '1'", sink="'blackhole'", settings=""):
            return self.script(f"{settings}\nCREATE TABLE i (value text) WITH (connector = {source});\n"
                               f"CREATE TABLE o (value text) WITH (connector = {sink});\nINSERT INTO o SELECT value FROM i;\n")

        def file(path):
            return f"'file', format = 'raw', path = '{path}'"
        for path in (outside / "secret.txt", allowed / ".." / "outside" / "secret.txt", allowed / "link" / "*",
                     allowed / "link" / "secret.txt", "/proc/self/environ"):
            with self.subTest(path=path):
                self.expect_failure(cli.run("submit", script(source=file(path))), 1, str(path), "--allow-path")
                self.expect_failure(cli.run("submit", script(sink=file(path))), 1, str(path), "--allow-path")
        (allowed / "found").mkdir()
        (allowed / "found" / "x.txt").symlink_to(outside / "secret.txt")
        self.expect_failure(cli.run("submit", script(source=file(allowed / "found"))), 1, "x.txt", "--allow-path")
        self.expect_failure(cli.run("submit", script(settings=f"SET checkpoint_location = '{outside}';")), 1, str(outside),
                            "--allow-path")
        self.expect_failure(cli.run("submit", script(), "--from", outside), 1, str(outside), "--allow-path")
        for secret in ("env:HOME", f"file:{outside}/secret.txt", "file:/etc/hostname"):
            kafka = f"'kafka', \"bootstrap.servers\" = '${{{secret}}}', topic = 'x', format = 'raw'"
            self.expect_failure(cli.run("submit", script(source=kafka)), 1, secret, "--allow-secret")
        for name in ("../../x", "a/b", "..", "x\ny"):
            self.expect_failure(cli.run("submit", script(), "--name", name), 1, "cannot name a job")
        inside = script(source=file(allowed / "lines.txt"), sink=file(allowed / "out"))
        cli.ok("submit", inside, "--name", "inside")
        cli.wait_for_phase("inside", "finished")
        written = [line for path in (allowed / "out").glob("part-*") for line in path.read_text().splitlines()]
        self.assertEqual(written, ["a line"])
        self.expect_failure(cli.run("jobs", "savepoint", "inside", "--location", outside / "s"), 1, str(outside), "--allow-path")

    def test_topic_deleted_under_a_job(self):
        self.cli.create_topic(self.name)
        cluster = Cluster(1)
        self.addCleanup(cluster.close)
        cli = cluster.cli(BROKER.bootstrap)
        cli.ok("submit", self.script(self.kafka_to_print(self.name, settings="SET batch_duration = '100 ms';")),
               "--name", "orphan")
        cli.produce(self.name, ["x", "y"])
        wait_until(lambda: cli.records("orphan") == 2, 30, "the records are read")
        cli.ok("topics", "delete", self.name)
        cli.wait_for_phase("orphan", "failed", seconds=90)
        message = cli.job("orphan")["summary"]["message"]
        self.assertIn(self.name, message)

    def test_disk_full_at_the_journal_makes_the_job_wait_and_it_goes_on(self):
        mount = self.directory / "small"
        mount.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("cannot mount a small tmpfs here (needs root)")
        self.addCleanup(subprocess.run, ["umount", "--lazy", mount], check=False)
        self.cli.create_topic(self.name, 4)
        sink = f"{self.name}.out"
        self.cli.create_topic(sink)
        cluster = Cluster(1, journal=mount / "journal")
        self.addCleanup(cluster.close)
        cli = cluster.cli(BROKER.bootstrap)
        script = self.script(streams.word_count_job(BROKER.bootstrap, self.name, sink, "10 ms"))
        cli.ok("submit", script, "--name", "words")
        lines = []

        def waits():
            part = streams.make_lines(20, seed=len(lines))
            lines.extend(part)
            cli.produce(self.name, part)
            summary = cli.job("words")["summary"]
            return "no space left on device" in summary.get("message", "") and summary
        summary = wait_until(waits, 120, "the job waits for space")
        self.assertNotIn(summary["phase"], ("PHASE_FAILED", "PHASE_STOPPED"))
        subprocess.run(["mount", "-o", "remount,size=16m", mount], check=True)
        streams.expect_counts(self, self.cli, sink, lines)


class BrokerRestartTest(unittest.TestCase):
    """A broker of its own, since it goes away."""

    def test_a_job_goes_on_after_the_broker_was_restarted(self):
        broker = KafkaBroker()
        self.addCleanup(broker.close)
        kafka = Cli(bootstrap=broker.bootstrap)
        kafka.create_topic("in", 2)
        kafka.create_topic("out", 1)
        cluster = Cluster(2)
        self.addCleanup(cluster.close)
        cli = cluster.cli(broker.bootstrap)
        script = new_directory("test") / "job.sql"
        script.write_text(streams.word_count_job(broker.bootstrap, "in", "out"))
        cli.ok("submit", script, "--name", "words")
        lines = streams.make_lines(2000, seed=20)
        kafka.produce("in", lines[:1000])
        wait_until(lambda: cli.records("words") == 1000, 60, "the first half is counted")
        broker.kill()
        broker.start()
        kafka.produce("in", lines[1000:])
        streams.expect_counts(self, kafka, "out", lines, seconds=90)
        cli.wait_for_phase("words", "running")


class InterruptTest(TroubleCase):
    def start_endless(self):
        return Process("endless", [millrace_path(), "run", self.script("""
SET batch_duration = '50 ms';
CREATE TABLE numbers (n bigint) WITH (connector = 'generator', rows_per_second = '1000');
CREATE TABLE shown (n bigint) WITH (connector = 'print');
INSERT INTO shown SELECT count(*) FROM numbers;""")], self.directory)

    def test_ctrl_c_drains(self):
        for signal_number in (2, 15):
            with self.subTest(signal=signal_number):
                endless = self.start_endless()
                self.addCleanup(endless.close)
                wait_until(lambda: endless.text().count("-- batch ") >= 3, 30, "three batches")
                endless.signal(signal_number)
                self.assertEqual(endless.wait(20), 0)
                self.assertIn("draining", endless.text())
                os.unlink(endless.log)


if __name__ == "__main__":
    cases.main()
