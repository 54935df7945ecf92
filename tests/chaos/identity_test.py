"""A job's name is not its identity: names that come again, journals that go or come back, and two jobs of one name."""

import collections
import json
import shutil
import unittest

from tests.chaos.world import JOB, World
from tests.harness import cases
from tests.harness.processes import KafkaBroker, wait_until

BROKER = None
OUTPUTS = ["plain", "running"]


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()


def tearDownModule():
    BROKER.close()


class IdentityTest(unittest.TestCase):

    def start(self, rate=400):
        world = World(OUTPUTS, rate=rate, executors=2, drivers=1, proxied=False, broker=BROKER)
        self.addCleanup(world.close)
        world.wait_for_members()
        world.submit()
        self.expect_progress(world, "begin")
        return world

    def expect_progress(self, world, mark):
        world.ledger.mark(mark)
        self.assertIsNotNone(world.ledger.wait_for_mark(mark, 60), f"{world.job_message()}\n{world.logs()}")

    def expect_right(self, world):
        result = world.finish()
        self.assertEqual(result["stuck"], "")
        self.assertTrue(result["right"], f"{world.ledger.violations[:10]} {result['journal']['problems']}")

    def kill_all(self, world):
        for place in world.places:
            place.kill()

    def times_of_rows(self, world):
        rows = [json.loads(record["value"]) for record in world.kafka.consume(world.outputs["plain"])]
        return collections.Counter((row["p"], row["n"]) for row in rows)

    def test_a_name_whose_journal_was_deleted_begins_anew(self):
        """The marks of the job before must not be taken for its own: it writes everything again."""
        world = self.start()
        self.expect_right(world)
        before = self.times_of_rows(world)
        self.assertEqual(set(before.values()), {1})
        self.kill_all(world)
        shutil.rmtree(world.journal_disk.path, ignore_errors=True)  # the directory itself may be a mount
        world.start_all()
        world.wait_for_members()
        world.submit()
        wait_until(lambda: self.times_of_rows(world) == {row: 2 for row in before}, 60, "every row is there again, once", 0.3)

    def test_an_old_copy_of_the_journal_is_noticed(self):
        """The sessions have committed batches that the copy has never planned: going on would write rows twice."""
        world = self.start()
        self.kill_all(world)
        copy = world.directory / "old-journal"
        shutil.copytree(world.journal_disk.path, copy)
        world.start_all()
        self.expect_progress(world, "later")
        self.kill_all(world)
        for path in world.journal_disk.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(copy, world.journal_disk.path, dirs_exist_ok=True)
        world.start_all()
        wait_until(lambda: "FAILED" in world.job_message(), 60, "the job refuses to go on")
        self.assertRegex(world.job_message(), "(?i)journal")
        self.assertEqual(set(self.times_of_rows(world).values()), {1})

    def test_parallelism_changes_between_crash_and_restart(self):
        world = self.start()
        for parallelism in (7, 2):
            self.kill_all(world)
            world.start_all()
            world.settings["parallelism"] = parallelism
            world.try_submit()  # may be refused while a batch is in doubt, or while the job runs again as it was
            self.expect_progress(world, f"with {parallelism}")
            world.stop_job()
            world.submit()
            self.expect_progress(world, f"resumed with {parallelism}")
            self.assertEqual(world.cli.job(JOB)["settings"]["parallelism"], str(parallelism))
        self.expect_right(world)

    def test_two_jobs_of_one_name_on_one_kafka_do_not_meet(self):
        first, second = self.start(), self.start()
        for world in (first, second):
            world.executors[0].kill()
            world.executors[0].start()
        for world in (first, second):
            self.expect_progress(world, "recovered")
        for world in (first, second):
            self.expect_right(world)


if __name__ == "__main__":
    cases.main()
