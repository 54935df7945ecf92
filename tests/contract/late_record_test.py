"""What a broker makes of a request that a fenced producer sends late, spoken in Kafka's own protocol.

A session whose commit was not answered drops its producer, and the next one inits under the same name; so does the
session of the next epoch. A request of the dropped one may still lie in a socket somewhere. librdkafka asks the
coordinator before it sends most of them, so only one that is held up between the two arrives from a fenced producer: too
rare to be waited for, and too frequent to be left out. Marks are records of a log, and the broker refuses such a record
without touching what the successor has written: docs/exactly-once.md §3.
"""

import itertools
import socket
import struct
import unittest

from tests.harness import cases
from tests.harness.processes import KafkaBroker, wait_until

BROKER = None
TOPIC = "marks"
PARTITIONS = itertools.count()  # one for each test

PRODUCE, LIST_OFFSETS, FIND_COORDINATOR, INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, END_TXN = 0, 2, 10, 22, 24, 26
UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER, NOT_ENOUGH_REPLICAS, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE = 3, 6, 19, 47, 48
CONCURRENT_TRANSACTIONS = 51
PASSING = (UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER, NOT_ENOUGH_REPLICAS, CONCURRENT_TRANSACTIONS)


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()
    BROKER.java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", BROKER.bootstrap, "--create", "--topic", TOPIC,
                "--partitions", "8")


def tearDownModule():
    BROKER.close()


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def record_batch(producer, sequence, key, value):
    """One record in a transaction, as a batch of version 2."""
    body = b"\0" + varint(0) + varint(0)
    for part in (key.encode(), value.encode()):
        body += varint(len(part)) + part
    body += varint(0)  # headers
    transactional, time_ms = 0x10, 1_700_000_000_000
    checked = struct.pack(">hiqqqhii", transactional, 0, time_ms, time_ms, *producer, sequence, 1) + varint(len(body)) + body
    counted = struct.pack(">ibI", -1, 2, crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(counted)) + counted


class Connection:
    """One transactional id that writes to one partition, by old versions of each request."""

    def __init__(self, name, partition):
        self._name, self._partition = name, partition
        self._socket = socket.create_connection(("127.0.0.1", BROKER.port), timeout=30)
        self._file = self._socket.makefile("rb")

    def close(self):
        self._file.close()
        self._socket.close()

    def _call(self, key, version, body):
        request = struct.pack(">hhi", key, version, 7) + text("late_record_test") + body
        self._socket.sendall(struct.pack(">i", len(request)) + request)
        size, correlation = struct.unpack(">ii", self._file.read(8))
        assert correlation == 7
        return self._file.read(size - 4)

    def _error_of(self, call):
        """Its error that does not pass by itself."""
        seen = []

        def settled():
            seen[:] = [call()]
            return seen[0] not in PASSING
        wait_until(settled, 30, "the last transaction is over and the broker ready", interval=0.01)
        return seen[0]

    def find_coordinator(self):
        def found():
            return struct.unpack(">ih", self._call(FIND_COORDINATOR, 1, text(self._name) + b"\1")[:6])[1] == 0
        wait_until(found, 30, "the coordinator is there")

    def init(self):
        """(producer id, epoch). Waits for the transaction that it ends."""
        def inited():
            _, error, producer, epoch = struct.unpack(">ihqh", self._call(INIT_PRODUCER_ID, 0, text(self._name) + struct.pack(">i", 60000)))
            return (producer, epoch) if error == 0 else None
        return wait_until(inited, 30, "init_transactions is carried out")

    def add_partition(self, producer):
        body = (text(self._name) + struct.pack(">qh", *producer) + struct.pack(">i", 1) + text(TOPIC)
                + struct.pack(">ii", 1, self._partition))
        return self._error_of(lambda: struct.unpack(">h", self._call(ADD_PARTITIONS_TO_TXN, 0, body)[-2:])[0])

    def produce(self, producer, sequence, key, value):
        batch = record_batch(producer, sequence, key, value)
        body = (text(self._name) + struct.pack(">hi", -1, 30000) + struct.pack(">i", 1) + text(TOPIC)
                + struct.pack(">iii", 1, self._partition, len(batch)) + batch)
        # [one topic] its name [one partition] number, error, …
        at = 4 + 2 + len(TOPIC) + 4 + 4
        return self._error_of(lambda: struct.unpack(">h", self._call(PRODUCE, 3, body)[at:at + 2])[0])

    def end(self, producer, commit=True):
        answer = self._call(END_TXN, 0, text(self._name) + struct.pack(">qhb", *producer, commit))
        return struct.unpack(">ih", answer)[1]

    def ends(self):
        """The last stable offset and the high watermark."""
        def end(isolation):
            body = struct.pack(">ibi", -1, isolation, 1) + text(TOPIC) + struct.pack(">iiq", 1, self._partition, -1)
            return struct.unpack(">q", self._call(LIST_OFFSETS, 2, body)[-8:])[0]
        return end(1), end(0)


class LateRecordTest(unittest.TestCase):

    def setUp(self):
        self.partition = next(PARTITIONS)
        self.connection = Connection(self.id(), self.partition)
        self.addCleanup(self.connection.close)
        self.connection.find_coordinator()

    def write(self, producer, sequence, value):
        """A transaction with one mark."""
        self.assertEqual(self.connection.add_partition(producer), 0)
        self.assertEqual(self.connection.produce(producer, sequence, "out", value), 0)
        self.assertEqual(self.connection.end(producer), 0)

    def expect_log(self, *values):
        """That readers of committed records get these, and nothing holds them up: another record comes at once."""
        self.write(self.connection.init(), 0, "the end")
        wait_until(lambda: len(set(self.connection.ends())) == 1, 30, "no transaction is open")
        read = BROKER.java("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", BROKER.bootstrap, "--topic",
                           TOPIC, "--partition", str(self.partition), "--offset", "earliest", "--isolation-level",
                           "read_committed", "--max-messages", str(len(values) + 1), "--timeout-ms", "30000")
        self.assertEqual(read.out.splitlines(), [*values, "the end"], read)

    def test_a_late_record_is_refused_and_the_successors_stays(self):
        zombie = self.connection.init()
        self.write(zombie, 0, "5:1")
        self.assertEqual(self.connection.add_partition(zombie), 0)  # and sleeps

        successor = self.connection.init()
        self.assertEqual(self.connection.add_partition(successor), 0)
        self.assertEqual(self.connection.produce(successor, 0, "out", "6:2"), 0)
        self.assertEqual(self.connection.produce(zombie, 1, "out", "5:2"), INVALID_PRODUCER_EPOCH)
        self.assertEqual(self.connection.end(successor), 0)
        self.assertEqual(self.connection.produce(zombie, 1, "out", "5:2"), INVALID_PRODUCER_EPOCH)
        self.expect_log("5:1", "6:2")

    def test_a_late_record_is_refused_before_its_successor_has_written(self):
        """The partition's leader has not heard of the successor then, and asks the coordinator."""
        zombie = self.connection.init()
        self.write(zombie, 0, "5:1")

        successor = self.connection.init()
        self.assertIn(self.connection.produce(zombie, 1, "out", "5:2"), (INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE))
        self.write(successor, 0, "6:2")
        self.expect_log("5:1", "6:2")

    def test_a_late_commit_is_refused_and_commits_nothing_of_its_successor(self):
        zombie = self.connection.init()
        self.assertEqual(self.connection.add_partition(zombie), 0)
        self.assertEqual(self.connection.produce(zombie, 0, "out", "5:1"), 0)  # and sleeps

        successor = self.connection.init()
        self.assertEqual(self.connection.add_partition(successor), 0)
        self.assertEqual(self.connection.produce(successor, 0, "out", "6:1"), 0)
        self.assertEqual(self.connection.end(zombie), INVALID_PRODUCER_EPOCH)
        self.assertEqual(self.connection.end(successor, commit=False), 0)
        self.write(successor, 1, "6:2")
        self.expect_log("6:2")

    def test_a_transaction_cannot_be_begun_late(self):
        zombie = self.connection.init()
        successor = self.connection.init()
        self.assertEqual(self.connection.add_partition(zombie), INVALID_PRODUCER_EPOCH)
        self.write(successor, 0, "6:1")
        self.expect_log("6:1")


if __name__ == "__main__":
    cases.main()
