"""TCP connections that can be cut, held up and made slow, between any two processes of a test.

One background thread serves all proxies. Delays are drawn from the seed, so that a schedule can be replayed as far as
the network is concerned.
"""

import asyncio
import random
import threading

_CHUNK = 65536


class _Loop:
    """The thread on which proxies live; started with the first one."""

    _lock = threading.Lock()
    _loop = None

    @classmethod
    def get(cls):
        with cls._lock:
            if cls._loop is None:
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, name="tcp-proxies", daemon=True).start()
            return cls._loop

    @classmethod
    def call(cls, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, cls.get()).result(timeout=30)


class TcpProxy:
    """Listens on a port of its own and forwards to `target` (a port of 127.0.0.1, may be set later).

    Modes: `pass_on` forwards; `cut` resets every connection and refuses new ones; `hold` keeps connections and takes new
    ones, but nothing comes through, as with a cable pulled out; `slow` delays every piece by up to some milliseconds.
    """

    def __init__(self, name, target=None, seed=0):
        self.name = name
        self.target = target
        self._random = random.Random(f"{seed}/{name}")
        self._connections = set()
        self._delay_ms = 0
        self._refuse = False
        _Loop.call(self._open())

    async def _open(self):
        self._may_flow = asyncio.Event()
        self._may_flow.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    # ---- What a test does; from any thread ----

    def pass_on(self):
        _Loop.call(self._set(refuse=False, delay_ms=0, flow=True))

    def cut(self):
        _Loop.call(self._set(refuse=True, delay_ms=0, flow=True))

    def hold(self):
        _Loop.call(self._set(refuse=False, delay_ms=0, flow=False))

    def slow(self, up_to_ms):
        _Loop.call(self._set(refuse=False, delay_ms=up_to_ms, flow=True))

    def drop_connections(self):
        """Once: who connects again gets through."""
        _Loop.call(self._drop())

    def close(self):
        _Loop.call(self._close())

    # ---- On the loop ----

    async def _set(self, refuse, delay_ms, flow):
        self._refuse, self._delay_ms = refuse, delay_ms
        if refuse:
            await self._drop()
        if flow:
            self._may_flow.set()
        else:
            self._may_flow.clear()

    async def _drop(self):
        for writer in list(self._connections):
            writer.transport.abort()

    async def _close(self):
        self._server.close()
        await self._drop()

    async def _serve(self, reader, writer):
        if self._refuse or self.target is None:
            writer.transport.abort()
            return
        self._connections.add(writer)
        try:
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                writer.transport.abort()
                return
            self._connections.add(far_writer)
            try:
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
            finally:
                self._connections.discard(far_writer)
                far_writer.transport.abort()
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader, writer):
        try:
            while True:
                piece = await reader.read(_CHUNK)
                await self._may_flow.wait()
                if self._delay_ms:
                    await asyncio.sleep(self._random.uniform(0, self._delay_ms) / 1000)
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, RuntimeError):  # the other end went away, or was cut off
            writer.transport.abort()
