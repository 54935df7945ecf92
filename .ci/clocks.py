"""Checks that nothing but what needs a time of day looks at the clock that someone may set.

  python3 .ci/clocks.py      # names the places that do; exit code 1 if there are any

A deadline, a pause, a silence or a duration by the wall clock stands still for an hour when the clock is set back by an
hour, and is over at once when it is set ahead: an executor sends no heartbeats, or leaves its driver. No test sets the
clock at each of these places, so the sources are read instead. Deadlines are SteadyNow()
(common/base/steady_time.h), threads wait for them by MonotonicCondVar, and gRPC gets them from RpcDeadline().

Tests may wait by Abseil's own timed waits: the worst that a step of the clock can do there is to fail the test.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Who may ask for the time of day, and what for.
TIME_OF_DAY = {
    "common/base/clock.cc": "Clock::Now() is the time of day",
    "common/base/steady_time.cc": "the moment at which SteadyNow() begins",
    "common/rpc/rpc.cc": "gRPC wants a time of day and converts it at once",
    "common/rpc/rpc.h": "the type that gRPC wants",
    "connectors/file/source/file_enumerator.cc": "how old a file is, by the times that the file system keeps",
    "driver/jobs/job.cc": "times of batches and of the journal's records",
    "driver/jobs/job_registry.cc": "until when an executor is left out, as it is shown",
    "driver/jobs/job_registry_submit.cc": "when a job was submitted, as it is shown",
    # Tests.
    "common/base/steady_time_test.cc": "sees that the clock was set",
    "common/base/testing/stepped_clock.cc": "the clock that a test sets",
    "connectors/file/source/file_rotation_test.cc": "files have their times from the file system",
    "driver/jobs/job_registry_test.cc": "a time that is shown",
    "executor/executor_snapshot_test.cc": "a Clock of the test's own",
    "tests/contract/kafka_sink_test.cc": "times of batches",
}

_WALL = re.compile(r"absl::Now\(|GetCurrentTimeNanos|system_clock|gettimeofday|CLOCK_REALTIME|std::time\(")
# By a Clock; those of tests show what the test says.
_CLOCK = re.compile(r"(?:[cC]lock\w*(?:\(\))?|Real\(\))(?:->|\.)Now\(\)")
_TIMED_WAIT = re.compile(r"\b(?:Wait|Await|LockWhen|ReaderLockWhen|WriterLockWhen|WaitForNotification)With"
                         r"(?:Timeout|Deadline)\(|[.>]wait_until\(|\bsleep_until\(")


def is_test(path):
    return path.startswith("tests/") or "/testing/" in path or path.endswith("_test.cc")


def complaints(sources, time_of_day):
    """What is wrong with the `sources`, texts by path, if those of `time_of_day` may ask for the time of day."""
    found = []
    used = set()
    for path, text in sorted(sources.items()):
        for number, line in enumerate(text.splitlines(), start=1):
            code = line.split("//")[0]
            if _WALL.search(code) or (not is_test(path) and _CLOCK.search(code)):
                used.add(path)
                if path not in time_of_day:
                    found.append(f"{path}:{number}: takes the time of day. For a deadline or a duration, take "
                                 "SteadyNow() (common/base/steady_time.h); if it must be a time of day, add the file "
                                 "to .ci/clocks.py")
            if not is_test(path) and _TIMED_WAIT.search(code):
                found.append(f"{path}:{number}: waits by the wall clock; take MonotonicCondVar "
                             "(common/base/monotonic_cond_var.h)")
    for path in sorted(set(time_of_day) - used):
        found.append(f".ci/clocks.py: {path} does not take the time of day; remove it from the list")
    return found


def main():
    paths = subprocess.run(["git", "ls-files", "*.cc", "*.h", ":!third_party", ":!build"], cwd=ROOT, check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    sources = {path: (ROOT / path).read_text() for path in paths if (ROOT / path).exists()}
    found = complaints(sources, TIME_OF_DAY)
    for complaint in found:
        print(complaint)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
