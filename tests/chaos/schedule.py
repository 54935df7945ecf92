"""A seeded schedule of faults against a world, and what came of each."""

import dataclasses
import random
import statistics
import time

from tests.chaos.faults import FAULTS
from tests.chaos.world import pause

RECOVERY_SECONDS = 90  # longer is no recovery
TOGETHER = 0.9         # share of faults that come two at once


@dataclasses.dataclass
class Outcome:
    number: int
    kinds: list
    words: str
    at: float             # seconds since the start of the schedule
    first_ms: float = 0   # until the first output showed a record sent after the fault
    all_ms: float = 0     # until all outputs did, from every partition


class Violation(Exception):
    """The engine broke a promise."""


class Schedule:
    """Deals faults like cards, kind by kind in a new order each round, so that none is left out."""

    def __init__(self, world, seed, kinds=None, go_on=False, tell=print):
        """`go_on`: rows that are wrong do not end it."""
        self._world = world
        self._source = random.Random(seed)
        self._kinds = [kind for kind in (kinds or FAULTS) if FAULTS[kind].possible(world)]
        self._deck = []
        self._go_on = go_on
        self._tell = tell
        self._begin = time.monotonic()
        self.outcomes = []

    def elapsed(self):
        return time.monotonic() - self._begin

    def _deal(self):
        if not self._deck:
            self._deck = self._source.sample(self._kinds, len(self._kinds))
        return FAULTS[self._deck.pop()](self._source, len(self._world.executors), len(self._world.drivers))

    def next(self):
        """One fault, or two at once, healed and recovered from. Violation if not."""
        faults = [self._deal()]
        together = self._source.random() < TOGETHER
        breath = self._source.uniform(0, 0.8)
        if together and self._deck and not faults[0].alone:
            second = self._deal()
            if second.alone or (second.on and second.on == faults[0].on):
                self._deck.append(second.kind)
            else:
                faults.append(second)
        self.happen(faults)
        pause(breath)

    def happen(self, faults):
        """Injects, waits, heals, and waits until everything goes on."""
        outcome = Outcome(len(self.outcomes) + 1, [fault.kind for fault in faults],
                          " and at once ".join(fault.words for fault in faults), self.elapsed())
        self.outcomes.append(outcome)
        self._tell(f"[{outcome.at:7.1f} s] {outcome.number:4d} {outcome.words}", end="", flush=True)
        ledger = self._world.ledger
        ledger.mark(f"{outcome.number}")
        try:
            for fault in faults:
                fault.inject(self._world)
            pause(max(fault.seconds for fault in faults))
        finally:
            for fault in sorted(reversed(faults), key=lambda fault: fault.heals_last):
                fault.heal(self._world)
        for fault in faults:
            fault.afterwards(self._world)
        ledger.mark(f"{outcome.number} healed")
        self._await(f"{outcome.number} healed")
        mark = ledger.wait_for_mark(f"{outcome.number}", 1)
        outcome.first_ms, outcome.all_ms = mark["first_ms"], mark["all_ms"]
        self._tell(f": first {outcome.first_ms:.0f} ms, all {outcome.all_ms:.0f} ms", flush=True)
        if ledger.violations and not self._go_on:
            raise Violation(self.describe(ledger.violations))

    def _await(self, mark):
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not self._world.ledger.wait_for_mark(mark, 3):
            self._world.start_all()  # a process may have given up, as it should when its disk is full
            message = self._world.job_message()
            if "FAILED" in message or time.monotonic() > deadline:
                raise Violation(f"no recovery: the job is {message}")

    @staticmethod
    def describe(violations):
        return "\n".join(f"{each['output']}: {each['fault']}: {each['text']}" for each in violations[:10])


def table(outcomes, result, seconds):
    """The report as Markdown: faults by kind, then outputs."""
    lines = ["| fault | times | recovery p50 ms | max ms |", "|---|---|---|---|"]
    alone = {}
    times = {}
    for outcome in outcomes:
        for kind in outcome.kinds:
            times[kind] = times.get(kind, 0) + 1
        alone.setdefault(outcome.kinds[0] if len(outcome.kinds) == 1 else "two at once", []).append(outcome.all_ms)
    for kind in [*times, *(["two at once"] if "two at once" in alone else [])]:
        recoveries = alone.get(kind, [])
        figures = f"{statistics.median(recoveries):.0f} | {max(recoveries):.0f}" if recoveries else "– | –"
        lines.append(f"| {kind} | {times.get(kind, len(recoveries))} | {figures} |")
    lines.append(f"| all | {sum(times.values())} | | |")
    lines += ["", "| output | rows | lost | duplicated | regressed | wrong |", "|---|---|---|---|---|---|"]
    for name, output in result["outputs"].items():
        lines.append(f"| {name} | {output['records']:,} | {output['lost']} | {output['duplicated']} | "
                     f"{output['regressed']} | {output['wrong']} |")
    journal = result["journal"]
    lines += ["", f"{sum(result['produced']):,} records in {seconds / 60:.1f} minutes; {journal['committed']:,} batches, "
              f"{journal['epochs']} epochs, {journal['snapshots']} snapshots in the journal"]
    return "\n".join(lines)
