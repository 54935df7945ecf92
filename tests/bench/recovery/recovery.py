"""How long a job stands still when a process is killed, with 1 M keys of state at 10,000 records/s. A report, not a test.

  bazel run //tests/bench/recovery -- [--times 5] [--rate 10000] [--keys 1000000]

Running counts and sums into an upsert topic, two executors, a driver and a standby. The time is from the kill to the first
row, as a read_committed reader sees it, that counts a record sent after the kill: detection, restoring and replay included.
The killed process is started again once the job has gone on.
"""

import argparse
import sys

from tests.chaos.schedule import RECOVERY_SECONDS
from tests.chaos.world import World
from tests.harness.measure import machine, percentile


def fill(world, records, rate):
    """Sends so many records as fast as they are taken, lets the job catch up, and goes on at `rate`."""
    world.ledger.set_rate(0)
    world.ledger.wait_for_progress(lambda progress: sum(progress["produced"]) >= records, 600)
    world.ledger.set_rate(rate)
    settle(world, rate)


def settle(world, rate):
    """Until the job is less than a second behind."""
    partitions = 4
    caught_up = world.ledger.wait_for_progress(
        lambda progress: all(output["behind"] < rate / partitions for output in progress["outputs"].values()), 600)
    if not caught_up:
        raise AssertionError(f"the job does not keep up with {rate} records/s: {world.job_message()}")


def measure(world, name, number, rate, kill):
    """Milliseconds until the first row, and until rows from every partition."""
    mark = f"{name} {number}"
    world.ledger.mark(mark)
    kill()
    seen = world.ledger.wait_for_mark(mark, RECOVERY_SECONDS)
    if not seen:
        raise AssertionError(f"no recovery from: {mark}: {world.job_message()}\n{world.logs()}")
    world.start_all()
    world.wait_for_members()
    world.ledger.mark(f"{mark} settled")
    world.ledger.wait_for_mark(f"{mark} settled", RECOVERY_SECONDS)
    settle(world, rate)
    return seen["first_ms"], seen["all_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--batch-duration", default="100 ms")
    parser.add_argument("--checkpoint-interval", default="10 s")
    arguments = parser.parse_args()
    world = World(["running"], rate=arguments.rate, executors=2, proxied=False, heap="1g", cold_keys=arguments.keys // 4,
                  settings={"batch_duration": arguments.batch_duration,
                            "checkpoint_interval": arguments.checkpoint_interval})
    try:
        world.wait_for_members()
        world.submit()
        fill(world, 2 * arguments.keys, arguments.rate)  # every other record is of a cold key
        cases = {"executor": lambda number: world.executors[number % 2].kill(),
                 "driver": lambda number: world.wait_for_leader().kill()}
        print(f"machine: {machine()}\nload:    {arguments.rate:,} records/s, {arguments.keys:,} keys, batch_duration = "
              f"'{arguments.batch_duration}', a snapshot every {arguments.checkpoint_interval}, "
              f"{len(world.drivers)} driver(s), 2 executors\n")
        print("| killed | times | first new row p50 ms | max ms | all partitions p50 ms | max ms |\n|---|---|---|---|---|---|")
        for name, kill in cases.items():
            times = [measure(world, name, number, arguments.rate, lambda: kill(number)) for number in range(arguments.times)]
            first, everywhere = zip(*times)
            print(f"| {name} | {len(times)} | {percentile(first, 0.5):.0f} | {max(first):.0f} | "
                  f"{percentile(everywhere, 0.5):.0f} | {max(everywhere):.0f} |", flush=True)
        result = world.finish()
        print(f"\nledger: {'nothing lost, nothing twice' if result['right'] else result}")
        return 0 if result["right"] else 1
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(main())
