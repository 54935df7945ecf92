"""What can go wrong, one class each. A fault draws what it will do from a seeded source when it is made, so that the same
seed makes the same faults; it is injected, lasts, and is healed.

  fault = KillExecutor(random.Random(7), executors=3, drivers=2)
  fault.inject(world); pause(fault.seconds); fault.heal(world)
"""

import signal

from tests.harness.processes import wait_until


class Fault:
    """Attributes: `kind` for the table, `words` for people, `seconds` that it lasts, `alone`: not together with others,
    `on`: nor with another on the same thing (a disk that is read-only cannot be filled), `heals_last`: when whatever comes
    together with it is over."""

    kind = ""
    alone = False
    on = ""
    heals_last = False

    def __init__(self, source, executors, drivers):
        self.executors, self.drivers = executors, drivers
        self.seconds = 0.0
        self.words = self.kind
        self.draw(source)

    def draw(self, source):
        """Decides what will be done."""

    def inject(self, world):
        raise NotImplementedError

    def heal(self, world):
        """Afterwards everything runs again, or is about to."""
        world.start_all()

    def afterwards(self, world):
        """What a person does once this and whatever came together with it is healed."""

    @staticmethod
    def possible(world):
        """Whether this world can have the fault."""
        return True


class _OnExecutor(Fault):
    """`victim`: number of an executor."""

    def draw(self, source):
        self.victim = source.randrange(self.executors)
        self.words = f"{self.kind} {self.victim + 1}"


# ---- Processes ----

class KillExecutor(_OnExecutor):
    kind = "kill executor"

    def draw(self, source):
        super().draw(source)
        # Half of them come back at once, before anyone has noticed.
        self.seconds = source.choice([0.0, source.uniform(0.5, 3)])

    def inject(self, world):
        world.executors[self.victim].kill()


class KillDriver(Fault):
    kind = "kill driver"

    def draw(self, source):
        self.seconds = source.choice([0.0, source.uniform(0.5, 3)])

    def inject(self, world):
        (world.leader() or world.drivers[0]).kill()


class KillExecutorAndDriver(KillExecutor):
    kind = "kill executor and driver"

    def inject(self, world):
        (world.leader() or world.drivers[0]).kill()
        super().inject(world)


class KillAll(Fault):
    kind = "kill all"

    def inject(self, world):
        for place in world.places:
            place.kill()


class HangExecutor(_OnExecutor):
    """Longer than it takes to be given up: it wakes as a zombie."""

    kind = "hang executor"

    def draw(self, source):
        super().draw(source)
        self.seconds = source.uniform(2.5, 5)

    def inject(self, world):
        world.executors[self.victim].hang()


class HangDriver(Fault):
    kind = "hang driver"

    def draw(self, source):
        self.seconds = source.uniform(2, 5)

    def inject(self, world):
        (world.leader() or world.drivers[0]).hang()


class HangExecutorAndDriver(HangExecutor):
    """Two zombies that wake together."""

    kind = "hang executor and driver"

    def inject(self, world):
        (world.leader() or world.drivers[0]).hang()
        super().inject(world)


class ExecutorLeaves(_OnExecutor):
    """In order, and joins again. That cannot end while Kafka, say, is away."""

    kind = "executor leaves"
    heals_last = True

    def draw(self, source):
        super().draw(source)
        self.seconds = source.uniform(0, 2)

    def inject(self, world):
        self.place = world.executors[self.victim]
        self.leaving = self.place.process
        self.leaving.signal(signal.SIGTERM)

    def heal(self, world):
        world.start_all()  # it may be asleep by another fault
        # Its successor may be there already: another fault that healed has started it.
        wait_until(lambda: not self.leaving.running(), 75, f"{self.place.name} drains")
        super().heal(world)


class DriverLeaves(ExecutorLeaves):
    kind = "driver leaves"

    def draw(self, source):
        Fault.draw(self, source)

    def inject(self, world):
        self.place = world.leader() or world.drivers[0]
        self.leaving = self.place.process
        self.leaving.signal(signal.SIGTERM)


# ---- The broker ----

class StopBroker(Fault):
    kind = "restart broker"
    on = "broker"

    def inject(self, world):
        world.broker.stop()

    def heal(self, world):
        world.broker.start()
        super().heal(world)


class KillBroker(StopBroker):
    kind = "kill broker"

    def inject(self, world):
        world.broker.kill()


# ---- The network ----

class _OnConnections(Fault):
    """On the proxies between two kinds of processes: all of them, or one."""

    between = ""

    def draw(self, source):
        self.seconds = source.choice([source.uniform(0.1, 1), source.uniform(2, 4)])
        self.how = source.choice(["cut", "hold", "drop_connections"])
        self.one = source.choice([None, source.randrange(self.executors)])
        self.words = f"{self.kind}: {self.how} {'all' if self.one is None else f'number {self.one + 1}'}"

    def inject(self, world):
        proxies = world.proxies_of(self.between)
        self.chosen = proxies if self.one is None else [proxies[self.one % len(proxies)]]
        for proxy in self.chosen:
            getattr(proxy, self.how)()

    def heal(self, world):
        for proxy in self.chosen:
            proxy.pass_on()
        super().heal(world)

    @staticmethod
    def possible(world):
        return bool(world.proxies)


class CutExecutorDriver(_OnConnections):
    kind = "cut executor-driver"
    between = "executor-driver"


class CutShuffle(_OnConnections):
    kind = "cut executor-executor"
    between = "shuffle"


class CutExecutorKafka(_OnConnections):
    kind = "cut executor-kafka"
    between = "executor-kafka"


class CutDriverKafka(_OnConnections):
    kind = "cut driver-kafka"
    between = "driver-kafka"


class SlowNetwork(Fault):
    kind = "slow network"

    def draw(self, source):
        self.seconds = source.uniform(1, 4)
        self.most_ms = source.choice([5, 20, 100])
        self.words = f"{self.kind}: up to {self.most_ms} ms"

    def inject(self, world):
        for proxy in world.proxies.values():
            proxy.slow(self.most_ms)

    def heal(self, world):
        for proxy in world.proxies.values():
            proxy.pass_on()
        super().heal(world)

    possible = _OnConnections.possible


# ---- Disks ----

class SnapshotsFull(Fault):
    kind = "snapshot disk full"
    on = "snapshot disk"

    def draw(self, source):
        self.seconds = source.uniform(1, 4)

    def inject(self, world):
        world.snapshot_disk.fill()

    def heal(self, world):
        world.snapshot_disk.make_room()
        super().heal(world)

    @staticmethod
    def possible(world):
        return world.snapshot_disk.usable


class SnapshotsReadOnly(SnapshotsFull):
    kind = "snapshot disk read-only"

    def inject(self, world):
        world.snapshot_disk.forbid_writing()

    def heal(self, world):
        world.snapshot_disk.allow_writing()
        Fault.heal(self, world)


class JournalFull(Fault):
    kind = "journal disk full"

    def draw(self, source):
        self.seconds = source.uniform(0.5, 3)

    def inject(self, world):
        world.journal_disk.fill()

    def heal(self, world):
        world.journal_disk.make_room()
        super().heal(world)

    def afterwards(self, world):
        world.resume_job()

    @staticmethod
    def possible(world):
        return world.journal_disk.usable


# ---- The job ----

class Rescale(Fault):
    """Stopped, and submitted again with another parallelism."""

    kind = "stop and rescale"
    alone = True

    def draw(self, source):
        self.parallelism = source.randint(1, 8)
        self.words = f"stop, submit with parallelism {self.parallelism}"

    def inject(self, world):
        world.stop_job()
        world.settings["parallelism"] = self.parallelism
        world.submit()


FAULTS = {fault.kind: fault for fault in (
    KillExecutor, KillDriver, KillExecutorAndDriver, KillAll, HangExecutor, HangDriver, HangExecutorAndDriver,
    ExecutorLeaves, DriverLeaves, StopBroker, KillBroker, CutExecutorDriver, CutShuffle, CutExecutorKafka, CutDriverKafka,
    SlowNetwork, SnapshotsFull, SnapshotsReadOnly, JournalFull, Rescale)}
