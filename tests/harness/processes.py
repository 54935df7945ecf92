"""Real processes for tests: a Kafka broker, a Millrace driver, executors, and the command line.

Everything listens on ports of 127.0.0.1 that were free, writes below one temporary directory, and is ended by its own
process id. Nothing here sleeps except between two looks of wait_until.
"""

import atexit
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path.cwd()  # Bazel starts tests in the runfiles directory


def find_file(*candidates):
    """The first path that exists, below the runfiles or the workspace."""
    for candidate in candidates:
        if (ROOT / candidate).exists():
            return (ROOT / candidate).resolve()
    raise FileNotFoundError(f"none of {candidates} exists below {ROOT}; build it, or add it to the test's data")


_PACKAGES = {"millrace": "cli", "millrace-driver": "driver", "millrace-executor": "executor"}


def binary_path(name, directory=None):
    """A program of the engine: the one that was built here, or the copy of another build's in `directory`."""
    if directory:
        return find_file(pathlib.Path(directory) / name)
    return find_file(f"{_PACKAGES[name]}/{name}", f"bazel-bin/{_PACKAGES[name]}/{name}")


def millrace_path():
    return binary_path("millrace")


class NotYet(Exception):
    """What a condition of wait_until() has seen instead; the failure repeats the last one."""


def wait_until(condition, seconds, what, interval=0.05):
    """Calls `condition` until it returns something true, which is returned; after `seconds` the test fails."""
    deadline = time.monotonic() + seconds
    last_error = None
    while True:
        try:
            result = condition()
            if result:
                return result
            last_error = None
        except (OSError, CommandFailed, NotYet) as error:
            last_error = error
        if time.monotonic() > deadline:
            detail = f" (last seen: {last_error})" if last_error else ""
            raise AssertionError(f"not within {seconds} s: {what}{detail}")
        time.sleep(interval)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def accepts_connections(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def new_directory(prefix):
    return pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("TEST_TMPDIR")))


class Process:
    """A child with its output in a file. Ended with its own id only, at the latest when this program ends.

    With subprocess.PIPE for `stdin` or `stdout` these are text streams of the object.
    """

    _alive = set()

    def __init__(self, name, command, directory, env=None, cwd=None, stdin=subprocess.DEVNULL, stdout=None):
        self.name = name
        self.log = pathlib.Path(directory) / f"{name}.log"
        self._log_file = open(self.log, "ab")
        self._process = subprocess.Popen(
            [str(part) for part in command], stdin=stdin, stdout=stdout or self._log_file,
            stderr=self._log_file if stdout else subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}, cwd=cwd,
            start_new_session=True)
        self.stdin, self.stdout = self._process.stdin, self._process.stdout
        Process._alive.add(self)

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process.poll() is None

    def text(self):
        return self.log.read_text(errors="replace")

    def signal(self, number):
        if self.running():
            self._process.send_signal(number)

    def wait(self, seconds):
        """The exit code; a negative signal number if a signal ended it."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds} s; its log ends:\n{self.tail()}") from None

    def tail(self, lines=40):
        return "\n".join(self.text().splitlines()[-lines:])

    def kill(self):
        self.signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, seconds=30):
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def close(self):
        self.kill()
        self._log_file.close()
        Process._alive.discard(self)

    @staticmethod
    @atexit.register
    def _close_all():
        for process in list(Process._alive):
            process.close()


class CommandFailed(Exception):
    """A command that should have worked did not."""


@dataclasses.dataclass
class Completed:
    code: int
    out: str
    err: str

    def __str__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def run(command, stdin=None, env=None, seconds=120, cwd=None):
    """Runs a program to its end."""
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, text=True, timeout=seconds, cwd=cwd,
        env={**os.environ, **(env or {})}, check=False, **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))
    return Completed(done.returncode, done.stdout, done.stderr)


class KafkaBroker:
    """One broker in KRaft mode, replication factor 1. Topics are made by the tests, never by themselves.

    `listeners`: further listeners, name -> the address that clients of it are told, such as a proxy's. `ports` then has
    the port that each really listens on.
    """

    def __init__(self, directory=None, heap="512m", listeners=None):
        self.directory = pathlib.Path(directory) if directory else new_directory("kafka")
        self._heap = heap
        listeners = listeners or {}
        self.port, self._controller_port, *ports = free_ports(2 + len(listeners))
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.ports = dict(zip(listeners, ports))
        self._config = self.directory / "server.properties"
        self._config.write_text("\n".join([
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{self._controller_port}",
            ",".join([f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
                      *(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())]),
            ",".join([f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}",
                      *(f"{name}://{address}" for name, address in listeners.items())]),
            "controller.listener.names=CONTROLLER",
            ",".join(["listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                      *(f"{name}:PLAINTEXT" for name in self.ports)]),
            f"log.dirs={self.directory}/logs",
            "auto.create.topics.enable=false",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=4",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "transaction.state.log.num.partitions=4",
            "group.initial.rebalance.delay.ms=0",
            "log.flush.offset.checkpoint.interval.ms=1000",
            # A broker that was killed may come back once its old registration has run out.
            "broker.session.timeout.ms=3000",
            "broker.heartbeat.interval.ms=500",
            "",
        ]))
        (self.directory / "log4j.properties").write_text("\n".join([
            "log4j.rootLogger=WARN, out",
            "log4j.logger.kafka.server=INFO",  # says when it has started
            "log4j.appender.out=org.apache.log4j.ConsoleAppender",
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout",
            "log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n",
            "",
        ]))
        result = self.java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", self._config)
        if result.code != 0:
            raise CommandFailed(f"formatting the broker's storage: {result}")
        self._starts = 0
        self.start()

    @staticmethod
    def _jars():
        return f"{find_file(os.environ.get('MILLRACE_KAFKA_JARS', '../kafka/jars'))}/*"

    def java(self, main_class, *arguments, stdin=None):
        """Runs one of Kafka's own tools: what other programs see, independent of ours."""
        return run(["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                    f"-Dlog4j.configuration=file:{self.directory}/log4j.properties", "-cp", self._jars(), main_class,
                    *arguments], stdin=stdin)

    def start(self):
        self._starts += 1
        self._process = Process(
            "kafka", ["java", f"-Xmx{self._heap}", f"-Xms{self._heap}", "-XX:+UseSerialGC",
                      f"-Dlog4j.configuration=file:{self.directory}/log4j.properties", "-cp", self._jars(),
                      "kafka.Kafka", self._config], self.directory, cwd=self.directory)
        wait_until(self._ready, 60, "the Kafka broker accepts connections")

    def _ready(self):
        if not self._process.running():
            raise AssertionError(f"the Kafka broker ended:\n{self._process.tail()}")
        return accepts_connections(self.port) and self._process.text().count("Kafka Server started") == self._starts

    @property
    def pid(self):
        return self._process.pid

    def stop(self):
        self._process.stop(60)

    def kill(self):
        self._process.kill()

    def close(self):
        self._process.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Cli:
    """The command `millrace` with its addresses set; `binaries` as for binary_path()."""

    def __init__(self, bootstrap=None, driver=None, binaries=None):
        self._binaries = binaries
        self.env = {"NO_COLOR": "1"}
        if bootstrap:
            self.env["MILLRACE_BOOTSTRAP"] = bootstrap
        if driver:
            self.env["MILLRACE_DRIVER"] = driver

    def run(self, *arguments, stdin=None, seconds=120, cwd=None):
        return run([binary_path("millrace", self._binaries), *arguments], stdin=stdin, env=self.env, seconds=seconds, cwd=cwd)

    def ok(self, *arguments, **kwargs):
        """Standard output of a command that must succeed."""
        result = self.run(*arguments, **kwargs)
        if result.code != 0:
            raise CommandFailed(f"millrace {' '.join(map(str, arguments))}: {result}")
        return result.out

    def json(self, *arguments, **kwargs):
        return json.loads(self.ok(*arguments, "--output", "json", **kwargs))

    def start(self, name, directory, *arguments):
        """A command that goes on until it is stopped."""
        return Process(name, [binary_path("millrace", self._binaries), *arguments], directory, env=self.env)

    # ---- Kafka ----

    def create_topic(self, topic, partitions=1):
        self.ok("topics", "create", topic, "--partitions", partitions)

    def produce(self, topic, lines):
        self.ok("produce", topic, stdin="".join(line + "\n" for line in lines))

    def consume(self, topic):
        """Everything in a topic up to now, as dictionaries, in order within each partition."""
        out = self.ok("consume", topic, "--from", "earliest", "--until", "end", "--output", "json")
        return [json.loads(line) for line in out.splitlines()]

    def latest_by_key(self, topic):
        """The topic as an upsert table: key -> value; keys whose last record is a tombstone are left out."""
        table = {}
        for record in self.consume(topic):
            if record["value"] is None:
                table.pop(record["key"], None)
            else:
                table[record["key"]] = record["value"]
        return table

    # ---- Jobs ----

    def job(self, name):
        return self.json("jobs", "show", name)

    def phase(self, name):
        return self.job(name)["summary"]["phase"].removeprefix("PHASE_").lower()

    def committed_batch(self, name):
        return int(self.job(name)["summary"]["committed_batch"])

    def records(self, name):
        return int(self.job(name)["summary"]["records"])

    def lag(self, name):
        return sum(partition["lag"] for partition in self.json("lag", name))

    def wait_for_phase(self, name, phase, seconds=60):
        def reached():
            summary = self.job(name)["summary"]
            now = summary["phase"].removeprefix("PHASE_").lower()
            if now == "failed" and phase != "failed":
                raise AssertionError(f"job {name} failed: {summary['message']}")
            return now == phase
        wait_until(reached, seconds, f"job {name} is {phase}")


class Cluster:
    """One driver, standbys of it if asked, and any number of executors as processes. Scripts may use `allow_paths`.

    `binaries`: a directory with the programs of another build, which all of it is then made of.
    """

    def __init__(self, executors, directory=None, driver_arguments=(), journal=None, standbys=0, allow_paths=(),
                 binaries=None):
        self.directory = pathlib.Path(directory) if directory else new_directory("cluster")
        self.journal = pathlib.Path(journal) if journal else self.directory / "journal"
        self._driver_port, self._metrics_port, *standby_ports = free_ports(2 + standbys)
        self._driver_arguments = driver_arguments
        self._allow_paths = allow_paths
        self._binaries = binaries
        self.addresses = [f"127.0.0.1:{port}" for port in (self._driver_port, *standby_ports)]
        self.address = ",".join(self.addresses)  # as clients and executors are told
        self.driver = None
        self.standbys = []
        self.executors = []
        try:
            self.start_driver()
            for address in self.addresses[1:]:
                self.start_standby(address)
            for _ in range(executors):
                self.add_executor()
        except BaseException:
            self.close()
            raise

    def start_driver(self):
        binary = binary_path("millrace-driver", self._binaries)
        self.driver = Process(
            "driver", [binary, "--listen", self.addresses[0], "--directory", self.journal, "--metrics",
                       f"127.0.0.1:{self._metrics_port}", *self._driver_flags()], self.directory)
        wait_until(self._driver_ready, 30, "the driver listens")

    def _driver_flags(self):
        allowed = [argument for path in self._allow_paths for argument in ("--allow-path", path)]
        return [*allowed, *self._driver_arguments]

    def _driver_ready(self):
        if not self.driver.running():
            raise AssertionError(f"the driver ended:\n{self.driver.tail()}")
        return accepts_connections(self._driver_port)

    def start_standby(self, address):
        """A driver that waits for its directory; it is on the list of `standbys` until the test takes it from there."""
        binary = binary_path("millrace-driver", self._binaries)
        name = f"standby-{len(self.standbys) + 1}-{address.rpartition(':')[2]}"
        process = Process(name, [binary, "--listen", address, "--directory", self.journal, *self._driver_flags()],
                          self.directory)
        self.standbys.append(process)
        wait_until(lambda: "standby: " in process.text(), 30, f"{name} waits for the directory")
        return process

    def add_executor(self, slots=2):
        binary = binary_path("millrace-executor", self._binaries)
        name = f"executor-{len(self.executors) + 1}"
        process = Process(
            name, [binary, "--driver", self.address, "--shuffle-listen", "127.0.0.1:0", "--name", name, "--slots", slots],
            self.directory)
        self.executors.append(process)
        wait_until(lambda: name in self.executor_names(), 30, f"{name} is registered")
        return process

    def executor_names(self):
        return [row["name"] for row in self.cli().json("executors")]

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=5) as response:
            return response.read().decode()

    def cli(self, bootstrap=None):
        return Cli(bootstrap=bootstrap, driver=self.address, binaries=self._binaries)

    def logs(self):
        return "\n".join(f"== {process.name}\n{process.tail()}" for process in [self.driver, *self.standbys, *self.executors] if process)

    def close(self):
        for process in [*self.executors, *self.standbys, self.driver]:
            if process:
                process.close()
        shutil.rmtree(self.directory, ignore_errors=True)
