"""The ledger (ledger.h) as a child: commands in, events out."""

import json
import subprocess
import threading
import time

from tests.harness.processes import Process, find_file


class Ledger:
    """Sends records and checks outputs until `finish`. Thread-safe."""

    def __init__(self, directory, bootstrap, topic, outputs, partitions, rate, seed, hot_keys=20, cold_keys=5000,
                 records=0):
        binary = find_file("tests/chaos/ledger", "bazel-bin/tests/chaos/ledger")
        command = [binary, "--bootstrap", bootstrap, "--topic", topic, "--partitions", partitions, "--rate", rate,
                   "--seed", seed, "--hot-keys", hot_keys, "--cold-keys", cold_keys, "--records", records]
        for name, place in outputs.items():
            command += ["--output", f"{name}={place}"]
        self._changed = threading.Condition()
        self.violations = []
        self.marks = {}  # id -> the event
        self.progress = None
        self._last = {}  # name of an event -> the last one
        self._process = Process("ledger", command, directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._events = open(self._process.log.with_suffix(".events"), "w", encoding="utf-8")
        threading.Thread(target=self._listen, name="ledger", daemon=True).start()

    def _listen(self):
        for line in self._process.stdout:
            self._events.write(line)
            event = json.loads(line)
            with self._changed:
                kind = event["event"]
                self._last[kind] = event
                if kind == "violation":
                    self.violations.append(event)
                elif kind == "mark":
                    self.marks[event["id"]] = event
                elif kind == "progress":
                    self.progress = event
                self._changed.notify_all()
        self._events.close()
        with self._changed:
            self._last["end"] = {}
            self._changed.notify_all()

    def _tell(self, line):
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise AssertionError(f"the ledger is gone: {self._process.tail()}") from error

    def _wait(self, condition, seconds):
        """What `condition` returned when it was true; None after `seconds`, or when the ledger has ended."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (result := condition()):
                left = deadline - time.monotonic()
                if left <= 0 or "end" in self._last:
                    return None
                self._changed.wait(left)
            return result

    def set_rate(self, rate):
        self._tell(f"rate {rate}")

    def forget_latencies(self):
        self._tell("forget")

    def mark(self, identity):
        """From now on the ledger watches for when every output shows a record that was sent after this."""
        self._tell(f"mark {identity}")

    def wait_for_mark(self, identity, seconds):
        """{first_ms, all_ms}: when the first output, and when all outputs, went on in all partitions. None: not in time."""
        return self._wait(lambda: self.marks.get(identity), seconds)

    def wait_for_progress(self, condition, seconds):
        """Until `condition(progress event)` is true."""
        return self._wait(lambda: self.progress and condition(self.progress), seconds)

    def stop_sending(self, seconds=120):
        """Records sent, by partition."""
        self._tell("stop")
        return self.wait_until_sent(seconds)

    def wait_until_sent(self, seconds):
        """Until no more is sent and all is acknowledged: records sent, by partition."""
        event = self._wait(lambda: self._last.get("stopped"), seconds)
        if not event:
            raise AssertionError(f"the generator's records are not acknowledged within {seconds} s")
        return event["produced"]

    def wait_until_complete(self, seconds):
        """Whether everything that was sent has come out, in time."""
        return self._wait(lambda: "complete" in self._last, seconds) is not None

    def finish(self, seconds=120):
        """The event `result`: {right, produced, outputs: {name: {records, lost, duplicated, regressed, wrong, …}}}."""
        self._tell("finish")
        result = self._wait(lambda: self._last.get("result"), seconds)
        if not result:
            raise AssertionError(f"the ledger came to no result:\n{self._process.tail()}")
        self._process.wait(30)
        return result

    def close(self):
        self._process.close()
