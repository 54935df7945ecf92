"""Every failpoint of the binaries, against real processes: the process that is armed crashes there once, crashes there
twice, or hangs there and wakes when others have taken its place; the ledger must find nothing wrong.

  bazel run //tests/chaos:failpoints -- [--only kafka_sink.before_commit] [--modes crash,zombie]

The names come from the binaries (--list-failpoints), so that a new one cannot be forgotten. One that no case reaches is a
failure too: a crash point that is never reached is never tested. One world goes through many cases: after each of them all
that is sent must come out, and the ledger must have seen nothing wrong; when the world ends, it judges everything.
"""

import argparse
import pathlib
import signal
import sys
import time

from tests.chaos.world import JOB, World, copy_logs, driver_binary, executor_binary, pause
from tests.harness.processes import KafkaBroker, run, wait_until

MODES = ("crash", "crash twice", "zombie")
OUTPUTS = ("plain", "running", "joined", "histogram", "plain_files", "parts_files")
CASES_PER_WORLD = 24

_WAIT_SECONDS = 3.0
_TRIES = 5  # of the usual occasion, which may miss its moment
_ZOMBIE_SECONDS = 3.5  # long enough for others to have taken its place


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


class Occasions:
    """What brings a process to its failpoint, if going on does not: each does something to the others, or asks for it.
    `hit` tells that it is there; nobody waits for an answer of a process that is."""

    def __init__(self, world, place, hit):
        self._world, self._place, self._hit = world, place, hit

    def go_on(self):
        pass

    def lose_an_executor(self):
        other = next(place for place in self._world.executors if place is not self._place)
        other.kill()
        other.start()

    def lose_the_driver(self):
        """Of two; the armed one takes over."""
        for place in self._world.drivers:
            if place is not self._place:
                place.kill()
                place.start()

    def save(self):
        self._ask("jobs", "savepoint", JOB)

    def lose_the_broker(self):
        """Commits that are under way are in doubt."""
        self._world.broker.kill()
        self._world.broker.start()

    def stop_and_resume(self):
        """A drain, and an epoch of a job that goes on."""
        self._ask("jobs", "stop", JOB)
        self._submit()

    def withdraw(self):
        """A batch is planned that nobody can run any more; the job is stopped over it, and submitted changed."""
        ledger, mark = self._world.ledger, f"withdraw-{time.monotonic()}"
        ledger.mark(mark)
        self._until(lambda: mark in ledger.marks)  # the job runs
        for place in self._world.executors:
            place.hang()
        pause(0.3)
        for place in self._world.executors:
            place.kill()
        self._ask("jobs", "stop", JOB)
        for place in self._world.executors:
            place.start()
        self._world.settings["parallelism"] ^= 1
        self._submit()

    def tear_a_snapshot(self):
        """The newest, while nobody writes another."""
        for place in self._world.executors:
            place.kill()
        newest = max(self._world.snapshot_disk.path.glob("*/*.state"), key=lambda path: path.stat().st_mtime_ns)
        with open(newest, "r+b") as file:
            file.truncate(newest.stat().st_size - 1)
        for place in self._world.executors:
            place.start()

    def drain(self):
        self._place.process.signal(signal.SIGTERM)

    ALL = (go_on, lose_an_executor, lose_the_driver, save, lose_the_broker, stop_and_resume, withdraw, tear_a_snapshot, drain)

    def _ask(self, *command):
        process = self._world.cli.start("ask", self._world.directory, *command)
        self._until(lambda: not process.running())
        process.close()

    def _submit(self):
        self._until(self._world.try_submit)

    def _until(self, condition, seconds=20):
        """Whether or not it comes true: the process may die or hang in it."""
        deadline = time.monotonic() + seconds
        while not self._hit() and not condition() and time.monotonic() < deadline:
            pause(0.02)


# What does it at once, for failpoints that are not come to by going on, or once in a process only; by the beginnings of
# their names. A new failpoint need not be here: all occasions are tried.
USUAL = {
    "driver.before_submitted": Occasions.stop_and_resume,
    "driver.submitted": Occasions.stop_and_resume,
    "driver.before_ended": Occasions.stop_and_resume,
    "driver.ended": Occasions.stop_and_resume,
    "driver.before_abandoned": Occasions.withdraw,
    "driver.abandoned": Occasions.withdraw,
    "driver.before_snapshot_dropped": Occasions.tear_a_snapshot,
    "driver.snapshot_dropped": Occasions.tear_a_snapshot,
    "savepoint": Occasions.save,
    "kafka_sink.doubt_resolved": Occasions.lose_the_broker,
    "file_sink.copied": Occasions.lose_an_executor,
    "lease.before_released": Occasions.drain,
    "lease.released": Occasions.drain,
}
ONCE = ("journal.segment", "journal.header", "journal.before_removed", "journal.removed", "lease.before_taken",
        "lease.taken", "kafka_sink.before_init", "kafka_sink.initialized", "kafka_sink.before_claimed", "kafka_sink.claimed")
BY_THE_DRIVER = ("store.before_remove", "store.removed")


def usual_occasion(name):
    """(The occasion to try first, the hit to act at): the second, since the first is often the very start."""
    for beginning, occasion in USUAL.items():
        if name.startswith(beginning):
            return occasion, 1
    return Occasions.go_on, 1 if name.startswith(ONCE) else 2


class Case:
    """One failpoint in one mode."""

    def __init__(self, world, name, who, mode):
        self._world, self._name, self._mode = world, name, mode
        self._place = world.drivers[0] if who == "driver" else world.executors[0]

    def run(self):
        """Whether the failpoint was reached. Raises what is wrong."""
        occasion = self._provoke()
        if occasion and self._mode == "crash twice":
            self._arm(1)
            if not self._after(Occasions.go_on):
                self._world.resume_job()
                if not self._after(occasion, _TRIES):
                    raise AssertionError("it did not come there twice")
        if self._mode == "zombie":
            pause(_ZOMBIE_SECONDS)
        if not occasion and self._place.running():
            self._place.kill()
        self._world.start_all()
        self._world.resume_job()
        return occasion is not None

    def _provoke(self):
        """Arms, and looks for the occasion that brings the process to its failpoint."""
        usual, times = usual_occasion(self._name)
        self._arm(times)
        if self._after(usual, _TRIES):
            return usual
        if self._place.running():
            self._arm(1)
        for occasion in Occasions.ALL:
            if self._after(occasion):
                return occasion
            if not self._place.running():  # has drained, or failed
                self._arm(1)
        return None

    def _arm(self, times):
        """Starts the process again, armed for the `times`-th time. A driver then drives, if it comes so far."""
        action = "hang" if self._mode == "zombie" else "crash"
        places = self._world.drivers if self._place in self._world.drivers else [self._place]
        for place in places:
            if place.running():
                place.kill()
            place.close()
        self._place.start({"MILLRACE_FAILPOINT": f"{self._name}:{action}@{times}"})
        if len(places) > 1:
            wait_until(lambda: self._hit() or self._world.leader() is self._place, 30, f"{self._place.name} drives")
            self._world.start_all(but=self._place)

    def _after(self, occasion, tries=1):
        """Whether it is there, some time after that at the latest."""
        for _ in range(tries):
            occasion(Occasions(self._world, self._place, self._hit))
            deadline = time.monotonic() + _WAIT_SECONDS
            while not self._hit() and time.monotonic() < deadline:
                pause(0.01)
            if self._hit():
                return True
            if not self._place.running():
                return False
        return False

    def _hit(self):
        if self._mode == "zombie":
            return self._place.stopped()
        return not self._place.running() and self._place.process.wait(1) == -signal.SIGKILL


class Worlds:
    """Makes worlds, each for many cases, and judges what came out of them."""

    def __init__(self, seed, keep):
        self._seed, self._keep = seed, keep
        self._broker = KafkaBroker()
        self._world, self._done = None, []

    def run_case(self, name, kinds, mode, tell):
        """What went wrong; empty if nothing."""
        kinds = sorted(kinds, key=lambda who: (who == "driver") != name.startswith(BY_THE_DRIVER))
        wrong = ""
        for who in kinds:
            begin = time.monotonic()
            label = f"{name} in the {who}: {mode}"
            try:
                reached = self._try(name, who, mode, label)
                wrong = "" if reached else "never reached"
            except Exception as error:  # the next case still tells something
                wrong, reached = f"{type(error).__name__}: {error}", True
                self._leave(label)
            tell(f"{wrong.splitlines()[0] if wrong else 'ok'}: {label} ({time.monotonic() - begin:.1f} s)", flush=True)
            if reached:
                break
        return wrong

    def _try(self, name, who, mode, label):
        if self._world is None:
            self._start()
        case = Case(self._world, name, who, mode)
        reached = case.run()
        self._expect_output(f"case-{len(self._done) + 1}")
        self._done.append(label)
        return reached

    def _expect_output(self, mark):
        """That what is sent from now on comes out, and that nothing was wrong until then."""
        ledger = self._world.ledger
        ledger.mark(mark)
        if not ledger.wait_for_mark(mark, 60):
            raise AssertionError(f"no recovery: the job is {self._world.job_message()}\n{self._world.logs()}")
        if ledger.violations:
            raise AssertionError("\n".join(map(str, ledger.violations[:10])))

    def _start(self):
        self._world = World(OUTPUTS, seed=self._seed, rate=400, executors=2, proxied=False, broker=self._broker,
                            new_names=True, settings={"checkpoint_interval": "500 ms"},
                            driver_arguments=("--keep-journal", "0"))  # what takes over removes what was before
        self._seed += 1
        self._world.wait_for_members()
        self._world.submit()
        self._expect_output("begin")

    def judge(self, at_least=1):
        """What is wrong with all that the world of at least so many cases has put out; empty if nothing."""
        if self._world is None or len(self._done) < at_least:
            return ""
        label = f"{self._done[0]} … {self._done[-1]}"
        try:
            result = self._world.finish(60)
            wrong = "" if result["right"] else result["stuck"] or str(result)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        self._leave(label if wrong else "")
        return wrong and f"{label}: {wrong}"

    def _leave(self, failed=""):
        """Ends the world; what is known of it is kept under the name of the case that failed."""
        if self._world:
            if failed and self._keep:
                copy_logs(self._world, self._keep / failed.replace(" ", "-").replace(":", "").replace("…", "to"))
            self._world.close()
        self._world, self._done = None, []

    def close(self):
        self._leave()
        self._broker.close()


def run_cases(failpoints, modes, seed, keep=None, tell=print):
    """{"failpoint: mode": what went wrong} of the cases that failed."""
    worlds, outcomes = Worlds(seed, keep), {}
    try:
        for name, kinds in sorted(failpoints.items()):
            for mode in modes:
                outcomes[f"{name}: {mode}"] = worlds.run_case(name, kinds, mode, tell)
                outcomes[f"the world after {name}: {mode}"] = worlds.judge(at_least=CASES_PER_WORLD)
        outcomes["the last world"] = worlds.judge()
    finally:
        worlds.close()
    return {label: wrong for label, wrong in outcomes.items() if wrong}


def report_cases(failpoints, modes, seed, keep):
    """Runs and prints them; whether all went well."""
    failed = run_cases(failpoints, modes, seed, keep)
    for label, wrong in failed.items():
        print(f"\n{label}: {wrong}")
    print(f"\n{len(failpoints)} failpoints, {len(failpoints) * len(modes)} cases, {len(failed)} failed", flush=True)
    return bool(failpoints) and not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="failpoints whose names begin so; several with commas")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("failpoints-logs"))
    arguments = parser.parse_args()
    modes = arguments.modes.split(",")
    chosen = {name: kinds for name, kinds in list_failpoints().items() if name.startswith(tuple(arguments.only.split(",")))}
    return 0 if report_cases(chosen, modes, arguments.seed, arguments.keep) else 1


if __name__ == "__main__":
    sys.exit(main())
