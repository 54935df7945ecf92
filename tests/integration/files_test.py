"""Files as a source, as a user of logs and exports has them: rotated, replaced, deleted, chosen anew. Real processes."""

import os
import shutil
import time
import unittest

from tests.harness import cases
from tests.harness.processes import Cli, Cluster, new_directory, wait_until

OUTPUT = "connector = 'file', format = 'raw', roll_interval = '100 ms'"


class FilesCase(unittest.TestCase):
    def setUp(self):
        self.directory = new_directory("test")
        self.input = self.directory / "in"
        self.output = self.directory / "out"
        self.input.mkdir()
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def append(self, name, *lines):
        with open(self.input / name, "a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def script(self, path, options="", settings=""):
        text = f"""SET batch_duration = '100 ms';
{settings}
CREATE TABLE lines (value text) WITH (connector = 'file', path = '{path}', format = 'raw'{options});
CREATE TABLE sink (value text) WITH ({OUTPUT}, path = '{self.output}');
INSERT INTO sink SELECT value FROM lines;
"""
        file = self.directory / "job.sql"
        file.write_text(text)
        return file

    def shown(self):
        """Lines that readers of the output may see, in no order."""
        lines = []
        for file in self.output.glob("[!._]*"):
            lines += file.read_text().splitlines()
        return sorted(lines)

    def wait_for(self, lines, seconds=60):
        wait_until(lambda: len(self.shown()) >= len(lines), seconds, f"{len(lines)} lines are out")
        self.assertEqual(self.shown(), sorted(lines))


class FollowTest(FilesCase):
    """Jobs that go on, in a cluster."""

    def setUp(self):
        super().setUp()
        self.cluster = Cluster(1, allow_paths=[self.directory])
        self.addCleanup(self.cluster.close)
        self.cli = self.cluster.cli()

    def follow(self, path, options="", settings=""):
        result = self.cli.run("submit", self.script(path, ", follow = true" + options, settings), "--name", "job")
        self.assertEqual(result.code, 0, result)
        return result

    def retired(self):
        return {os.path.basename(row["partition"]): row["retired"] for row in self.cli.json("lag", "job") if row["retired"]}

    def rotate(self, cut):
        newest = self.input / "app.log"
        for number in (2, 1):
            if (self.input / f"app.log.{number}").exists():
                (self.input / f"app.log.{number}").rename(self.input / f"app.log.{number + 1}")
        if cut:
            shutil.copyfile(newest, self.input / "app.log.1")
            os.truncate(newest, 0)
        else:
            newest.rename(self.input / "app.log.1")

    def rotate_under_the_job(self, cut):
        lines = [f"line {number} of a log" for number in range(6000)]
        self.append("app.log", *lines[:100])
        self.follow(self.input / "app.log")
        for turn in range(1, 20):
            if turn % 4 == 0:
                # A file must be seen before it is rotated; what is appended to it now is then in the rotated file only.
                wait_until(lambda seen=turn * 100: self.cli.records("job") >= seen, 60, "the log is read")
            self.append("app.log", *lines[turn * 100:turn * 100 + 80])
            if turn % 4 == 0:
                self.rotate(cut)
            self.append("app.log", *lines[turn * 100 + 80:turn * 100 + 100])
            if turn == 10:
                self.cluster.executors[0].kill()
                self.cluster.add_executor()
        self.wait_for(lines[:2000])
        self.assertEqual(self.cli.phase("job"), "running")

    def test_rename_and_create_loses_and_repeats_nothing(self):
        self.rotate_under_the_job(cut=False)

    def test_copy_and_truncate_loses_and_repeats_nothing(self):
        self.rotate_under_the_job(cut=True)

    def test_a_deleted_file_of_a_pattern_that_was_read_is_retired(self):
        self.append("1.log", "a", "b")
        self.append("2.log", "c")
        self.follow(self.input / "*.log")
        self.wait_for(["a", "b", "c"])
        (self.input / "1.log").unlink()
        wait_until(lambda: "1.log" in self.retired(), 60, "the deleted file is retired")
        self.assertIn("was deleted", self.retired()["1.log"])
        self.append("2.log", "d")
        self.append("1.log", "another e")
        self.wait_for(["a", "b", "c", "d", "another e"])
        summary = self.cli.job("job")["summary"]
        self.assertEqual((summary["phase"], int(summary["retired_partitions"])), ("PHASE_RUNNING", 1))
        # What is retired is so for the next driver too.
        self.cluster.driver.stop()
        self.cluster.start_driver()
        self.append("2.log", "f")
        self.wait_for(["a", "b", "c", "d", "another e", "f"])
        self.assertIn("1.log", self.retired())
        self.assertNotIn('1.log"', self.cluster.metrics())

    def test_another_path_retires_the_files_of_the_old_one_and_says_so(self):
        self.append("old.log", "a", "b")
        self.follow(self.input / "old.log")
        self.wait_for(["a", "b"])
        self.cli.ok("jobs", "stop", "job")
        self.append("new.log", "c")
        notices = self.follow(self.input / "new.log").err
        self.assertRegex(notices, r"old\.log of source table .* is retired at offset 4: the script does not select it any more")
        self.append("old.log", "not read")
        self.append("new.log", "d")
        self.wait_for(["a", "b", "c", "d"])
        # Chosen again, it goes on where it was left.
        self.cli.ok("jobs", "stop", "job")
        self.follow(self.input / "*.log")
        self.wait_for(["a", "b", "c", "d", "not read"])

    def test_a_limit_on_the_rate_counts_records(self):
        lines = [f"{number} is one of three thousand records" for number in range(3000)]
        self.append("many.log", *lines)
        begun = time.monotonic()
        self.follow(self.input / "many.log", settings="SET max_rate_per_partition = 1000;")
        self.wait_for(lines)
        took = time.monotonic() - begun
        self.assertGreater(took, 2)
        self.assertLess(took, 30, "a limit in bytes would take two minutes")


class RunTest(FilesCase):
    """Runs that end, one after the other."""

    def run_once(self, path):
        settings = f"SET job_name = 'job';\nSET checkpoint_location = '{self.directory / 'journal'}';"
        result = Cli().run("run", self.script(path, settings=settings))
        self.assertEqual(result.code, 0, result)
        return result

    def test_a_file_that_was_replaced_is_read_whole_and_the_old_one_to_its_end(self):
        self.append("f", "a1", "a2")
        self.run_once(self.input / "f")
        self.append("f", "a3")
        (self.input / "f").rename(self.input / "f.old")
        self.append("f", "n1", "n2", "n3", "n4")
        self.run_once(self.input / "f")
        self.wait_for(["a1", "a2", "a3", "n1", "n2", "n3", "n4"])
        # And written anew in place.
        (self.input / "f").write_text("m1\nm2\n")
        self.run_once(self.input / "f")
        self.wait_for(["a1", "a2", "a3", "n1", "n2", "n3", "n4", "m1", "m2"])

    def test_a_file_that_is_chosen_again_is_read_up_to_its_present_end(self):
        self.append("a", "a1")
        self.append("b", "b1")
        self.run_once(self.input / "a")
        self.run_once(self.input / "b")
        self.append("a", "a2")
        self.run_once(self.input / "a")
        self.wait_for(["a1", "b1", "a2"])

    def test_files_that_were_read_may_be_deleted_between_runs(self):
        self.append("1.csv", "a")
        self.append("2.csv", "b")
        self.run_once(self.input / "*.csv")
        (self.input / "1.csv").unlink()
        self.append("2.csv", "c")
        self.append("3.csv", "d")
        self.run_once(self.input / "*.csv")
        self.wait_for(["a", "b", "c", "d"])


if __name__ == "__main__":
    cases.main()
