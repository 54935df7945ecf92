"""Every failpoint of the binaries in every mode against a real Kafka (failpoints.py): part of ./check --full."""

import unittest

from tests.chaos import failpoints
from tests.harness import cases


class FailpointsTest(unittest.TestCase):

    def test_nothing_is_lost_or_twice_at_any_failpoint(self):
        found = failpoints.list_failpoints()
        self.assertTrue(found, "the binaries have no failpoints")
        self.assertEqual(failpoints.run_cases(found, failpoints.MODES, seed=1), {})


if __name__ == "__main__":
    cases.main()
