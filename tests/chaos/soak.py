"""Faults from a seeded schedule, for as long as asked, against real processes and a real Kafka.

  bazel run //tests/chaos:soak -- --minutes 30 [--failpoints] [--seed S] [--pipelines plain,running]
                                  [--faults 'kill driver,kill all']

Prints every fault with its time as it happens, and a table at the end. Exit code 1: something was lost, came twice, went
backwards, or did not recover; logs, journal and ledger events are then kept in the directory that is named. The same
seed deals the same faults again. With --failpoints every failpoint in every mode follows (failpoints.py, 17 minutes).
"""

import argparse
import os
import pathlib
import random
import sys
import time
import traceback

from tests.chaos import failpoints
from tests.chaos.faults import FAULTS
from tests.chaos.pipelines import PIPELINES
from tests.chaos.schedule import Schedule, Violation, table
from tests.chaos.world import World, copy_logs


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--pipelines", default=",".join(PIPELINES), help="outputs, by name")
    parser.add_argument("--faults", default=",".join(FAULTS), help="kinds, by name")
    parser.add_argument("--failpoints", action="store_true", help="afterwards every failpoint, in every mode")
    parser.add_argument("--count", type=int, default=0, help="end after so many faults, whatever the time")
    parser.add_argument("--rate", type=int, default=1000, help="records per second")
    parser.add_argument("--executors", type=int, default=3)
    parser.add_argument("--go-on", action="store_true", help="after rows that are wrong too, to see how many")
    parser.add_argument("--keep", type=pathlib.Path, help="where logs go after a failure (default: ./chaos-SEED)")
    arguments = parser.parse_args()
    arguments.pipelines = arguments.pipelines.split(",")
    arguments.faults = arguments.faults.split(",")
    for name, known in [*((p, PIPELINES) for p in arguments.pipelines), *((f, FAULTS) for f in arguments.faults)]:
        if name not in known:
            parser.error(f"{name}: there are {', '.join(known)}")
    return arguments


def run_schedule(world, arguments):
    """The outcomes of all faults, and whether none broke a promise."""
    schedule = Schedule(world, arguments.seed, arguments.faults, arguments.go_on)
    try:
        while schedule.elapsed() < arguments.minutes * 60:
            if arguments.count and len(schedule.outcomes) >= arguments.count:
                break
            schedule.next()
        return schedule.outcomes, True
    except Violation as violation:
        print(f"\nVIOLATION after fault {len(schedule.outcomes)}, {schedule.elapsed():.1f} s: {violation}", flush=True)
    except Exception:  # whatever it was: it happened under a fault, and the logs tell why
        print(f"\nFAILED after fault {len(schedule.outcomes)}, {schedule.elapsed():.1f} s:", flush=True)
        traceback.print_exc(file=sys.stdout)
    return schedule.outcomes, False


def main():
    arguments = parse()
    keep = arguments.keep or pathlib.Path(
        os.environ.get("BUILD_WORKING_DIRECTORY", "."), f"chaos-{arguments.seed}").absolute()
    print(f"seed {arguments.seed}", flush=True)
    world = World(arguments.pipelines, seed=arguments.seed, rate=arguments.rate, executors=arguments.executors,
                  small_disks=True)
    right = False
    try:
        begin = time.monotonic()
        world.wait_for_members()
        world.submit()
        world.ledger.mark("begin")
        if not world.ledger.wait_for_mark("begin", 60):
            raise AssertionError(f"the job does not run: {world.job_message()}")
        outcomes, went_well = run_schedule(world, arguments)
        result = world.finish(120 if went_well else 20)
        print(f"\n{table(outcomes, result, time.monotonic() - begin)}\nseed {arguments.seed}", flush=True)
        if result["stuck"]:
            print(f"STUCK: {result['stuck']}")
        for problem in result["journal"]["problems"]:
            print(f"JOURNAL: {problem}")
        if world.ledger.violations:
            print(f"VIOLATIONS:\n{Schedule.describe(world.ledger.violations)}")
        right = went_well and result["right"]
    finally:
        if not right:
            copy_logs(world, keep)
            print(f"logs, journal and events: {keep}")
        world.close()
    if arguments.failpoints:
        right = failpoints.report_cases(failpoints.list_failpoints(), failpoints.MODES, arguments.seed, keep) and right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
