"""Every failpoint of the binaries, against real processes: the process that is armed crashes there once, crashes there
twice, or hangs there and wakes when others have taken its place; the ledger must find nothing wrong.

  bazel run //tests/chaos:failpoints -- [--only kafka_sink.before_commit] [--modes crash,zombie]

The names come from the binaries (--list-failpoints), so that a new one cannot be forgotten. One that no case reaches is a
failure too: a crash point that is never reached is never tested.
"""

import argparse
import pathlib
import subprocess
import sys
import time

from tests.chaos.world import JOB, World, copy_logs, driver_binary, executor_binary, pause
from tests.harness.processes import KafkaBroker, run

MODES = ("crash", "crash twice", "zombie")
NEVER_HIT = "never hit"
OUTPUTS = ("plain", "running", "joined", "histogram", "plain_files", "parts_files")

# What else happens, one after the other, until the failpoint is hit: a start of an epoch, a takeover, a drain, a new plan.
# The armed process survives all of them.
_WAIT_SECONDS = 3.0
_HIT_AT = 2  # the second time: the first is often the very start, when there is nothing to lose yet


def list_failpoints():
    """{name: the kinds of process that may reach it}. What both link, such as sinks, is mostly the executor's."""
    found = {}
    for who, binary in (("executor", executor_binary()), ("driver", driver_binary())):
        listed = run([binary, "--list-failpoints"])
        if listed.code != 0:
            raise AssertionError(f"{binary} --list-failpoints: {listed}")
        for name in listed.out.split():
            found.setdefault(name, []).append(who)
    return found


class Case:
    """One failpoint in one mode, in a world of its own."""

    def __init__(self, broker, name, who, mode, seed):
        self._name, self._mode = name, mode
        self.label = f"{name} in the {who}: {mode}"
        self._world = World(OUTPUTS, seed=seed, rate=400, executors=2, proxied=False, broker=broker,
                            settings={"checkpoint_interval": "500 ms"})
        self._place = self._world.drivers[0] if who == "driver" else self._world.executors[0]

    def run(self):
        """What went wrong; empty if nothing. Raises what the world raises."""
        world = self._world
        world.wait_for_members()
        world.submit()
        world.ledger.mark("begin")
        if not world.ledger.wait_for_mark("begin", 60):
            return f"the job does not run: {world.job_message()}"
        hit = self._provoke(_HIT_AT) or self._provoke(1)
        if not hit:
            return NEVER_HIT
        self._recover()
        world.ledger.mark("recovered")
        if not world.ledger.wait_for_mark("recovered", 60):
            return f"no recovery: the job is {world.job_message()}\n{world.logs()}"
        result = world.finish(60)
        if result["right"]:
            return ""
        return result["stuck"] or "\n".join(map(str, [*world.ledger.violations[:10], *result["journal"]["problems"]])) or str(result)

    def _arm(self, times):
        """Starts the process again, armed for the `times`-th time; the world goes on until it is there."""
        action = "hang" if self._mode == "zombie" else "crash"
        self._place.kill()
        self._place.close()
        self._place.start({"MILLRACE_FAILPOINT": f"{self._name}:{action}@{times}"})

    def _hit(self):
        return self._place.stopped() if self._mode == "zombie" else not self._place.running()

    def _wait_for_hit(self):
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            if self._hit():
                return True
            pause(0.01)
        return False

    def _provoke(self, times):
        """Arms, and then does to the others what may bring the process to its failpoint."""
        self._arm(times)
        for what in (None, self._lose_another, self._lose_another_driver, self._save, self._lose_the_broker,
                     self._stop_and_resume, self._drain):
            if what and not self._hit():
                what()
            if self._wait_for_hit():
                return True
        return False

    def _lose_another(self):
        other = next(place for place in self._world.executors if place is not self._place)
        other.kill()
        other.start()

    def _lose_another_driver(self):
        for place in self._world.drivers:
            if place is not self._place:
                place.kill()
                place.close()
                place.start()

    def _ask(self, *command):
        """Whether or not it works: the process may die or hang in it."""
        try:
            self._world.cli.run(*command, seconds=20)
        except subprocess.TimeoutExpired:
            pass

    def _save(self):
        self._ask("jobs", "savepoint", JOB)

    def _lose_the_broker(self):
        """Commits that are under way are in doubt."""
        self._world.broker.kill()
        self._world.broker.start()

    def _stop_and_resume(self):
        """A drain, and an epoch of a job that goes on."""
        self._ask("jobs", "stop", JOB)
        self._world.try_submit()

    def _drain(self):
        if self._place.running():
            self._place.process.signal(15)

    def _recover(self):
        """As an operator would: what died is started again; twice into the same failpoint, if that is the mode."""
        if self._mode == "crash twice":
            self._place.close()
            self._place.start({"MILLRACE_FAILPOINT": f"{self._name}:crash@1"})
            self._wait_for_hit()
        elif self._mode == "zombie":
            # Long enough for others to have taken its place.
            pause(3.5)
        self._world.start_all()
        self._world.resume_job()

    def close(self, failed, keep):
        if failed and keep:
            copy_logs(self._world, keep / self.label.replace(" ", "-").replace(":", ""))
        self._world.close()


def run_case(broker, name, kinds, mode, seed, keep, tell):
    """What went wrong, tried with each kind of process until one reaches the failpoint; empty if nothing."""
    wrong = ""
    for who in kinds:
        begin = time.monotonic()
        case = Case(broker, name, who, mode, seed)
        try:
            wrong = case.run()
        except Exception as error:  # the next case still tells something
            wrong = f"{type(error).__name__}: {error}"
        case.close(wrong not in ("", NEVER_HIT), keep)
        tell(f"{wrong.splitlines()[0] if wrong else 'ok':10} {case.label} ({time.monotonic() - begin:.1f} s)", flush=True)
        if wrong != NEVER_HIT:
            break
    return wrong


def run_cases(failpoints, modes, seed, keep=None, tell=print):
    """{"failpoint: mode": what went wrong} of the cases that failed."""
    broker = KafkaBroker()
    try:
        outcomes = {f"{name}: {mode}": run_case(broker, name, kinds, mode, seed, keep, tell)
                    for name, kinds in sorted(failpoints.items()) for mode in modes}
    finally:
        broker.close()
    return {label: wrong for label, wrong in outcomes.items() if wrong}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="failpoints whose names begin so; several with commas")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("failpoints-logs"))
    arguments = parser.parse_args()
    modes = arguments.modes.split(",")
    chosen = {name: kinds for name, kinds in list_failpoints().items() if name.startswith(tuple(arguments.only.split(",")))}
    failed = run_cases(chosen, modes, arguments.seed, arguments.keep)
    for label, wrong in failed.items():
        print(f"\n{label}: {wrong}")
    print(f"\n{len(chosen)} failpoints, {len(chosen) * len(modes)} cases, {len(failed)} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
