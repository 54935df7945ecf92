"""Everything that a fault can happen to: a broker, drivers, executors, the ledger, and a proxy between any two of them.

Each place (a driver's, an executor's) keeps its addresses; the processes in it come and go. Executor i reaches Kafka by a
listener of its own and the drivers by proxies of its own, and the other executors reach it by another, so that any
connection can be cut alone.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from tests.chaos import pipelines
from tests.chaos.ledger_process import Ledger
from tests.harness.processes import (Cli, CommandFailed, KafkaBroker, Process, accepts_connections, binary_path, find_file,
                                     free_ports, new_directory, run, wait_until)
from tests.harness.tcp_proxy import TcpProxy

JOB = "chaos"
KAFKA = "${env:CHAOS_KAFKA}"  # each process has its own way to the broker


def driver_binary(binaries=None):
    return binary_path("millrace-driver", binaries)


def executor_binary(binaries=None):
    return binary_path("millrace-executor", binaries)


class Place:
    """Where one process runs at a time. Each start has a log of its own. "{start}" in its command is the number of the
    start."""

    def __init__(self, name, command, directory, env):
        self.name = name
        self._command = command
        self._directory = directory
        self._env = env
        self.starts = 0
        self.process = None

    def start(self, env=None):
        self.starts += 1
        command = [str(part).replace("{start}", str(self.starts)) for part in self._command]
        self.process = Process(f"{self.name}.{self.starts}", command, self._directory, env={**self._env, **(env or {})})
        return self.process

    def running(self):
        return self.process is not None and self.process.running()

    def kill(self):
        self.process.kill()

    def hang(self):
        self.process.signal(signal.SIGSTOP)

    def wake(self):
        self.process.signal(signal.SIGCONT)

    def stopped(self):
        """Whether the process is there, but asleep by a signal."""
        try:
            stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        return stat.rsplit(")", 1)[1].split()[0] == "T"

    def close(self):
        if self.process:
            self.process.close()


class SmallDisk:
    """A directory, if asked and root a file system of its own in memory, which can be filled up and made read-only."""

    def __init__(self, path, megabytes, mount):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True)
        self._mounted = mount and os.geteuid() == 0 and run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", self.path]).code == 0
        self._filler = self.path / ".filler"

    @property
    def usable(self):
        return self._mounted

    def fill(self):
        """Leaves nothing free."""
        # Unbuffered: what is left in a buffer would fail once more when the file is closed.
        with open(self._filler, "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(1 << 16))
            except OSError:
                pass

    def make_room(self):
        self._filler.unlink(missing_ok=True)

    def forbid_writing(self):
        self._remount("ro")

    def allow_writing(self):
        self._remount("rw")

    def _remount(self, how):
        # Refused while a file is open for writing: one that is being written stays whole, the next one fails.
        wait_until(lambda: run(["mount", "-o", f"remount,{how}", self.path]).code == 0, 10, f"{self.path} is {how}", 0.01)

    def close(self):
        if self._mounted:
            run(["umount", "-l", self.path])


class World:
    """Starts everything but the job. `proxied` False: direct connections, for measurements. `small_disks`: journal and
    snapshots on file systems that can fail; needs root. `new_names`: executors have another name at each start, so that one
    that is killed again and again is not left out of work as one that flaps. `binaries` as of a Cluster."""

    def __init__(self, outputs, seed=1, rate=1000, executors=3, drivers=2, partitions=4, proxied=True, broker=None,
                 directory=None, heap="512m", settings=None, kafka_options=None, file_options=None, hot_keys=20,
                 cold_keys=5000, records=0, slots=2, small_disks=False, driver_arguments=(), new_names=False,
                 binaries=None):
        self.directory = pathlib.Path(directory) if directory else new_directory("chaos")
        self.seed = seed
        self.settings = {"batch_duration": "100 ms", "checkpoint_interval": "2 s", "parallelism": 4,
                         "checkpoint_location": self.directory / "snapshots", **(settings or {})}
        # Files are to be seen soon, and to roll often.
        self._sink_options = {"kafka_options": kafka_options, "file_options": {"roll_interval": "1 s", **(file_options or {})}}
        self._small_disks = small_disks
        self._driver_arguments = driver_arguments
        self._binaries = binaries
        self._closing = []
        self._owns_broker = broker is None
        try:
            self._make_kafka(broker, executors, proxied, heap)
            self.kafka = Cli(bootstrap=self.broker.bootstrap)
            self._make_topics(outputs, partitions)
            self.journal_disk = self._disk("journal", 256)
            self.snapshot_disk = self._disk("snapshots", 256)
            self._make_drivers(drivers if standby_supported() else 1)
            self._make_executors(executors, proxied, slots, new_names)
            self.cli = Cli(bootstrap=self.broker.bootstrap, driver=",".join(self.driver_addresses), binaries=binaries)
            self.cli.env["CHAOS_KAFKA"] = self.broker.bootstrap
            self.start_all()
            self.ledger = Ledger(self.directory, self.broker.bootstrap, self.source, self.outputs, partitions, rate, seed,
                                 hot_keys, cold_keys, records)
            self._closing.append(self.ledger.close)
        except BaseException:
            self.close()
            raise

    # ---- Making ----

    def _proxy(self, name, target=None):
        proxy = TcpProxy(name, target, self.seed)
        self.proxies[name] = proxy
        self._closing.append(proxy.close)
        return proxy

    def _disk(self, name, megabytes):
        disk = SmallDisk(self.directory / name, megabytes, self._small_disks)
        self._closing.append(disk.close)
        return disk

    def _make_kafka(self, broker, executors, proxied, heap):
        """With proxies, one listener for the drivers and one for each executor."""
        self.proxies = {}
        if broker is not None or not proxied:
            self.broker = broker or KafkaBroker(heap=heap)
            return
        clients = ["DRIVER", *(f"EXECUTOR{i + 1}" for i in range(executors))]
        ways = {name: self._proxy(f"{name.lower()}-kafka") for name in clients}
        self.broker = KafkaBroker(heap=heap, listeners={name: proxy.address for name, proxy in ways.items()})
        for name, proxy in ways.items():
            proxy.target = self.broker.ports[name]

    def _make_topics(self, outputs, partitions):
        prefix = self.directory.name
        self.source = f"{prefix}.events"
        self.outputs = {}
        self.kafka.create_topic(self.source, partitions)
        for name in outputs:
            if pipelines.PIPELINES[name][1]:
                self.outputs[name] = str(self.directory / name)
                (self.directory / name).mkdir()
            else:
                self.outputs[name] = f"{prefix}.{name}"
                self.kafka.create_topic(self.outputs[name], partitions)

    def _make_drivers(self, count):
        ports = free_ports(2 * count)
        self._driver_ports, self._metrics_ports = ports[:count], ports[count:]
        self.driver_addresses = [f"127.0.0.1:{port}" for port in self._driver_ports]
        kafka = self.proxies.get("driver-kafka")
        env = {"CHAOS_KAFKA": kafka.address if kafka else self.broker.bootstrap}
        self.drivers = []
        for number, address in enumerate(self.driver_addresses):
            command = [driver_binary(self._binaries), "--listen", address, "--directory", self.journal_disk.path,
                       "--metrics", f"127.0.0.1:{self._metrics_ports[number]}", "--allow-path", self.directory,
                       "--allow-secret", "env:CHAOS_KAFKA", *self._driver_arguments]
            self.drivers.append(Place(f"driver-{number + 1}", command, self.directory, env))

    def _make_executors(self, count, proxied, slots, new_names):
        self.executors = []
        ports = free_ports(count)
        for number in range(1, count + 1):
            name = f"executor-{number}"
            listen = f"127.0.0.1:{ports[number - 1]}"
            if proxied:
                to_drivers = [self._proxy(f"{name}-driver-{d + 1}", port) for d, port in enumerate(self._driver_ports)]
                drivers = [proxy.address for proxy in to_drivers]
                advertised = self._proxy(f"{name}-shuffle", ports[number - 1]).address
            else:
                drivers, advertised = self.driver_addresses, listen
            kafka = self.proxies.get(f"{name}-kafka".replace("-", "", 1))
            command = [executor_binary(self._binaries), "--driver", ",".join(drivers), "--shuffle-listen", listen,
                       "--shuffle-advertise", advertised, "--name", f"{name}.{{start}}" if new_names else name, "--slots",
                       slots]
            env = {"CHAOS_KAFKA": kafka.address if kafka else self.broker.bootstrap}
            self.executors.append(Place(name, command, self.directory, env))

    # ---- Processes ----

    @property
    def places(self):
        return [*self.drivers, *self.executors]

    def start_all(self, but=None):
        """Starts what does not run, and wakes what sleeps, all or all but one place."""
        for place in self.places:
            if place is but:
                continue
            if not place.running():
                place.close()
                place.start()
            elif place.stopped():
                place.wake()

    def wait_for_members(self, seconds=30):
        wait_until(lambda: len(self.cli.json("executors")) == len(self.executors), seconds, "all executors are registered")

    def leader(self):
        """The driver that drives; None while nobody does. Those that wait as standby do not listen."""
        for place, port in zip(self.drivers, self._driver_ports):
            if place.running() and not place.stopped() and accepts_connections(port):
                return place
        return None

    def wait_for_leader(self, seconds=30):
        return wait_until(self.leader, seconds, "a driver drives")

    def proxies_of(self, kind):
        """Proxies between two kinds of processes: driver-kafka, executor-kafka, executor-driver, shuffle."""
        def fits(name):
            if kind == "driver-kafka":
                return name == kind
            if kind == "executor-kafka":
                return name.startswith("executor") and name.endswith("-kafka")
            return ("-driver-" in name) if kind == "executor-driver" else name.endswith("-shuffle")
        return [proxy for name, proxy in sorted(self.proxies.items()) if fits(name)]

    # ---- The job ----

    def try_submit(self):
        """Submits the job, or resumes it: whether it worked."""
        path = self.directory / "chaos.sql"
        path.write_text(pipelines.script(self.outputs, self.source, KAFKA, self.settings, **self._sink_options))
        self.last_submission = self.cli.run("submit", path, "--name", JOB)
        return self.last_submission.code == 0

    def submit(self, seconds=60):
        """Until it works: a driver may be about to take over, or a disk still be full."""
        try:
            wait_until(self.try_submit, seconds, "the job is submitted", 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.last_submission}") from None

    def stop_job(self, seconds=60):
        wait_until(lambda: self.cli.ok("jobs", "stop", JOB) is not None, seconds, "the job takes the word to stop", 0.2)
        self.cli.wait_for_phase(JOB, "stopped", seconds)

    def resume_job(self, seconds=60):
        """Submits the job again if it has failed or stopped: what a person does once the cause is gone.

        Asked each time: a driver that takes over may have gone on with it by itself.
        """
        def goes_on():
            phase = self.job_message().split()[0]
            if phase == "unknown:":
                return False
            return phase not in ("PHASE_FAILED", "PHASE_STOPPED") or self.try_submit()
        wait_until(goes_on, seconds, "the job goes on", 0.2)

    def job_message(self):
        """Phase and message of the job, for people."""
        try:
            summary = self.cli.job(JOB)["summary"]
            return f"{summary['phase']} {summary.get('message', '')}"
        except (CommandFailed, subprocess.TimeoutExpired, KeyError, ValueError) as error:
            return f"unknown: {error}"

    def finish(self, seconds=120):
        """Lets everything come out, stops the job, and has the ledger judge; its result."""
        self.ledger.stop_sending(seconds)
        complete = self.ledger.wait_until_complete(seconds)
        if complete:
            self.stop_job(seconds)
        result = self.ledger.finish()
        result["stuck"] = "" if complete else f"not everything came within {seconds} s; the job is {self.job_message()}"
        result["journal"] = self.check_journal(result["produced"] if complete else None)
        result["right"] = result["right"] and complete and not result["journal"]["problems"]
        return result

    def check_journal(self, produced=None):
        """What journal_check.cc says; its ranges end at what was `produced`."""
        binary = find_file("tests/chaos/journal_check", "bazel-bin/tests/chaos/journal_check")
        done = run([binary, self.journal_disk.path, JOB])
        if done.code not in (0, 1):
            raise AssertionError(f"journal_check: {done}")
        report = json.loads(done.out)
        ends = {f"{self.source}/{p}": count for p, count in enumerate(produced or [])}
        if produced and report["ends"] != ends:
            report["problems"].append(f"ranges end at {report['ends']}, sent were {ends}")
        return report

    def logs(self):
        """The ends of the logs of what is or was running."""
        return "\n".join(f"== {place.process.name}\n{place.process.tail(20)}" for place in self.places if place.process)

    def close(self, keep=False):
        """Ends everything. `keep`: the directory stays, for people."""
        for place in getattr(self, "drivers", []) + getattr(self, "executors", []):
            place.close()
        for close in reversed(self._closing):
            close()
        self._closing = []
        if self._owns_broker and hasattr(self, "broker"):
            if keep:
                self.broker.kill()
            else:
                self.broker.close()
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)


def standby_supported():
    """Whether a second driver of a directory waits, instead of being refused."""
    return "--lease-time" in run([driver_binary(), "--help"]).out


def copy_logs(world, target):
    """What a person needs after a failure: logs, journal, outputs, and what the broker has of them and of the sinks' marks."""
    shutil.copytree(world.directory, target, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("snapshots", "logs"))
    shutil.copytree(world.broker.directory, target / "kafka", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns(f"{world.source}-*"), ignore_dangling_symlinks=True)


def pause(seconds):
    """Time that a fault lasts; the only waiting without a condition, since the duration is the fault."""
    time.sleep(seconds)


__all__ = ["JOB", "Place", "World", "accepts_connections", "copy_logs", "driver_binary", "executor_binary", "pause"]
