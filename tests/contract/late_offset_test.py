"""What a broker makes of an offset that a fenced producer sends late, spoken in Kafka's own protocol.

librdkafka asks the transaction coordinator before it sends an offset, so only a request that is held up between the two
arrives from a fenced producer. That is too rare to be waited for, and too frequent to be left out: docs/exactly-once.md §3.
"""

import socket
import struct
import unittest

from tests.harness import cases
from tests.harness.processes import KafkaBroker, wait_until

BROKER = None
TOPIC = "markers"

OFFSET_FETCH, FIND_COORDINATOR, INIT_PRODUCER_ID, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 9, 10, 22, 25, 26, 28
INVALID_PRODUCER_EPOCH = 47


def setUpModule():
    global BROKER
    BROKER = KafkaBroker()
    BROKER.java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", BROKER.bootstrap, "--create", "--topic", TOPIC, "--partitions", "3")


def tearDownModule():
    BROKER.close()


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


class Connection:
    """One transactional id and its group, by the first versions of each request."""

    def __init__(self, name):
        self._name = name
        self._socket = socket.create_connection(("127.0.0.1", BROKER.port), timeout=30)
        self._file = self._socket.makefile("rb")

    def close(self):
        self._file.close()
        self._socket.close()

    def _call(self, key, version, body):
        request = struct.pack(">hhi", key, version, 7) + text("late_offset_test") + body
        self._socket.sendall(struct.pack(">i", len(request)) + request)
        size, correlation = struct.unpack(">ii", self._file.read(8))
        assert correlation == 7
        return self._file.read(size - 4)

    def find_coordinators(self):
        def found(kind):
            answer = self._call(FIND_COORDINATOR, 1, text(self._name) + struct.pack(">b", kind))
            return struct.unpack(">ih", answer[:6])[1] == 0
        for kind in (0, 1):
            wait_until(lambda: found(kind), 30, "the coordinators are there")

    def init(self):
        """(producer id, epoch). Waits for the transaction that it ends."""
        def inited():
            _, error, producer, epoch = struct.unpack(">ihqh", self._call(INIT_PRODUCER_ID, 0, text(self._name) + struct.pack(">i", 60000)))
            return (producer, epoch) if error == 0 else None
        return wait_until(inited, 30, "init_transactions is carried out")

    def add_offsets(self, producer):
        def added():
            answer = self._call(ADD_OFFSETS_TO_TXN, 0, text(self._name) + struct.pack(">qh", *producer) + text(self._name))
            return struct.unpack(">ih", answer)[1] == 0
        wait_until(added, 30, "the last transaction is over and another one begins")

    def commit_offset(self, producer, partitions, metadata):
        """The error code, which is the same for all partitions."""
        offsets = b"".join(struct.pack(">iq", partition, 0) + text(metadata) for partition in partitions)
        answer = self._call(TXN_OFFSET_COMMIT, 0, text(self._name) + text(self._name) + struct.pack(">qh", *producer)
                            + struct.pack(">i", 1) + text(TOPIC) + struct.pack(">i", len(partitions)) + offsets)
        return struct.unpack(">h", answer[-2:])[0]

    def commit(self, producer):
        answer = self._call(END_TXN, 0, text(self._name) + struct.pack(">qhb", *producer, 1))
        return struct.unpack(">ih", answer)[1]

    def offset(self, partition):
        """The metadata, "" of none. Kafka's read of a transaction that is ending may be old: to be waited for."""
        answer = self._call(OFFSET_FETCH, 1, text(self._name) + struct.pack(">i", 1) + text(TOPIC) + struct.pack(">ii", 1, partition))
        # [one topic] its name [one partition] number, offset, metadata, error
        at = 4 + 2 + len(TOPIC) + 4 + 4 + 8
        size, = struct.unpack(">h", answer[at:at + 2])
        return answer[at + 2:at + 2 + size].decode()


class LateOffsetTest(unittest.TestCase):

    def late(self, name, of_zombie, of_successor=(0,)):
        """A connection after a successor's transaction in which a zombie's offsets have come, each for its partitions."""
        connection = Connection(name)
        self.addCleanup(connection.close)
        connection.find_coordinators()
        zombie = connection.init()
        connection.add_offsets(zombie)
        self.assertEqual(connection.commit_offset(zombie, of_zombie, "5:1"), 0)
        self.assertEqual(connection.commit(zombie), 0)
        wait_until(lambda: connection.offset(of_zombie[-1]) == "5:1", 30, "the first marker is there")
        connection.add_offsets(zombie)  # and sleeps

        successor = connection.init()
        connection.add_offsets(successor)
        self.assertEqual(connection.commit_offset(successor, of_successor, "6:2"), 0)
        self.assertEqual(connection.commit_offset(zombie, of_zombie, "5:2"), INVALID_PRODUCER_EPOCH)
        self.assertEqual(connection.commit(successor), 0)
        connection.add_offsets(successor)  # so the transaction is over
        return connection

    def test_the_successors_marker_is_safe_in_another_partition(self):
        connection = self.late("apart", of_zombie=(1,))
        wait_until(lambda: connection.offset(0) == "6:2", 30, "the marker of the successor is there")
        self.assertEqual(connection.offset(1), "5:1")

    def test_of_two_markers_the_one_in_another_partition_is_safe(self):
        """As of epochs 16 apart: they share one partition, each has another for itself."""
        connection = self.late("half", of_zombie=(0, 1), of_successor=(0, 2))
        wait_until(lambda: connection.offset(2) == "6:2", 30, "the marker of the successor is there")
        self.assertEqual(connection.offset(1), "5:1")

    def test_the_successors_marker_is_lost_in_the_same_partition(self):
        """Should this fail, the broker has been mended, and epochs may share a partition again."""
        connection = self.late("shared", of_zombie=(0,))
        # What is committed after it is there, so it will not come any more.
        successor = connection.init()
        connection.add_offsets(successor)
        self.assertEqual(connection.commit_offset(successor, (1,), "7:3"), 0)
        self.assertEqual(connection.commit(successor), 0)
        wait_until(lambda: connection.offset(1) == "7:3", 30, "the next marker is there")
        self.assertEqual(connection.offset(0), "5:1")


if __name__ == "__main__":
    cases.main()
