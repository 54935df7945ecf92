"""A few minutes of faults against real processes and a real Kafka, the same ones every time: every kind of query, every
kind of fault that needs no root, and the ledger. The soak (soak.py) does this for as long as asked, with drawn faults."""

import random
import unittest

from tests.chaos import pipelines
from tests.chaos.faults import FAULTS
from tests.chaos.schedule import Schedule
from tests.chaos.world import World
from tests.harness import cases

SEED = 20250301

SCRIPT = ("kill executor", "kill driver", "hang executor", "kill broker", "hang driver", "cut executor-executor",
          "cut executor-kafka", "cut executor-driver", "kill all", "stop and rescale", "hang executor and driver")


class ChaosTest(unittest.TestCase):

    def test_every_row_comes_once_through_every_kind_of_fault(self):
        world = World(list(pipelines.PIPELINES), seed=SEED, rate=400)
        self.addCleanup(world.close)
        try:
            world.wait_for_members()
            world.submit()
            world.ledger.mark("begin")
            self.assertIsNotNone(world.ledger.wait_for_mark("begin", 60), world.job_message())
            schedule = Schedule(world, SEED)
            source = random.Random(SEED)
            for kind in SCRIPT:
                schedule.happen([FAULTS[kind](source, len(world.executors), len(world.drivers))])
            result = world.finish()
            self.assertEqual(result["stuck"], "")
            self.assertTrue(result["right"], result)
        except BaseException:
            print(world.logs())
            raise


if __name__ == "__main__":
    cases.main()
