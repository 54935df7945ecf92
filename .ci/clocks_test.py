"""Tests of clocks.py: what would let a deadline follow the wall clock."""

import unittest

import clocks


def _complaints(line, path="driver/a.cc", time_of_day=()):
    return clocks.complaints({path: f"// absl::Now() in a comment\n{line}\n"}, dict.fromkeys(time_of_day, "a reason"))


class ClocksTest(unittest.TestCase):
    def test_deadlines_by_the_wall_clock_are_found(self):
        for line in ("const absl::Time deadline = absl::Now() + timeout;", "round->deadline = clock_->Now() + timeout;",
                     "until = context->clock()->Now();", "until = Clock::Real()->Now();", "x = world.clock.Now();",
                     "std::chrono::system_clock::now() + kGrace", "clock_gettime(CLOCK_REALTIME, &now);"):
            found = _complaints(line)
            self.assertEqual(len(found), 1, line)
            self.assertTrue(found[0].startswith("driver/a.cc:2: takes the time of day"), found)
            self.assertEqual(_complaints(line, time_of_day=["driver/a.cc"]), [])

    def test_waits_by_the_wall_clock_are_found(self):
        for line in ("changed_.WaitWithDeadline(&mutex_, deadline);", "changed_.WaitWithTimeout(&mutex_, kTick);",
                     "mutex_.AwaitWithTimeout(reached, kTick);", "done.WaitForNotificationWithTimeout(kTick);",
                     "woken.wait_until(lock, deadline);"):
            self.assertEqual(len(_complaints(line)), 1, line)
            self.assertEqual(_complaints(line, path="driver/a_test.cc"), [])
            self.assertEqual(_complaints(line, path="driver/testing/a.cc"), [])

    def test_the_steady_time_is_right(self):
        for line in ("const absl::Time deadline = SteadyNow() + timeout;", "changed_.WaitUntil(&mutex_, deadline);",
                     "changed_.WaitFor(&mutex_, kTick);", "clock_->MonotonicNs()", "std::chrono::steady_clock::now()",
                     "absl::SleepFor(kPause);", "Now().wall_us"):
            self.assertEqual(_complaints(line), [], line)

    def test_the_clock_of_a_test_shows_what_the_test_says(self):
        self.assertEqual(_complaints("start = world_.clock.Now();", path="driver/a_test.cc"), [])
        self.assertEqual(len(_complaints("deadline = absl::Now();", path="driver/a_test.cc")), 1)

    def test_a_file_that_no_longer_takes_the_time_of_day_leaves_the_list(self):
        found = _complaints("SteadyNow();", time_of_day=["driver/a.cc"])
        self.assertEqual(len(found), 1)
        self.assertIn("remove it", found[0])


if __name__ == "__main__":
    unittest.main()
