"""The proxy does to connections what it says."""

import socket
import threading
import unittest

from tests.harness import cases
from tests.harness.tcp_proxy import TcpProxy


class Echo:
    """A server that sends back what it gets."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection):
        with connection:
            try:
                while piece := connection.recv(4096):
                    connection.sendall(piece)
            except OSError:
                pass

    def close(self):
        self._socket.close()


class TcpProxyTest(unittest.TestCase):

    def setUp(self):
        self.echo = Echo()
        self.proxy = TcpProxy("test", self.echo.port)
        self.addCleanup(self.echo.close)
        self.addCleanup(self.proxy.close)

    def connect(self, timeout=10):
        client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=timeout)
        self.addCleanup(client.close)
        return client

    def expect_echo(self, client):
        client.sendall(b"hello")
        self.assertEqual(client.recv(100), b"hello")

    def expect_gone(self, client):
        """The connection ends, in whatever way."""
        try:
            client.sendall(b"hello")
            self.assertEqual(client.recv(100), b"")
        except OSError:
            pass

    def test_passes_on(self):
        self.expect_echo(self.connect())

    def test_cut_ends_connections_and_refuses_new_ones_until_healed(self):
        client = self.connect()
        self.expect_echo(client)
        self.proxy.cut()
        self.expect_gone(client)
        self.expect_gone(self.connect())
        self.proxy.pass_on()
        self.expect_echo(self.connect())

    def test_dropped_connections_may_come_again(self):
        client = self.connect()
        self.expect_echo(client)
        self.proxy.drop_connections()
        self.expect_gone(client)
        self.expect_echo(self.connect())

    def test_hold_lets_nothing_through_until_healed(self):
        client = self.connect(timeout=0.3)
        self.proxy.hold()
        client.sendall(b"late")
        with self.assertRaises(TimeoutError):
            client.recv(100)
        client.settimeout(10)
        self.proxy.pass_on()
        self.assertEqual(client.recv(100), b"late")

    def test_slow_loses_nothing(self):
        self.proxy.slow(5)
        client = self.connect()
        sent = bytes(range(256)) * 400
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        received = b""
        while len(received) < len(sent):
            piece = client.recv(65536)
            self.assertTrue(piece, "the connection ended")
            received += piece
        self.assertEqual(received, sent)


if __name__ == "__main__":
    cases.main()
