"""Connections through a proxy of our own, that can be cut, held up and slowed down."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any

CHUNK = 65_536  # bytes
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # of SO_LINGER: a close sends RST, see socket(7)


class Direction(Enum):
    """Which way bytes go, seen from the process that connects."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class Link:
    """A port on 127.0.0.1 that leads to another one, as reliable as a test wants it."""

    def __init__(self, network: "Network", name: str, port: int) -> None:
        """Lead to ``port``; made by Network.link()."""
        self.name = name
        self.port = 0
        self._network = network
        self._target = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = {direction: asyncio.Event() for direction in Direction}
        self._delay, self._jitter = 0.0, 0.0

    def hold(self, *directions: Direction) -> None:
        """Let nothing through any more, without a word to either side; by default both ways.

        Connections stay open, and new ones can be made, as behind a firewall that drops packets.
        """
        held = directions or tuple(Direction)
        self._network.call(lambda: self._hold(held))

    def release(self) -> None:
        """Let everything through again, and first what was held up."""
        self._network.call(self._release)

    def cut(self) -> None:
        """Break all connections (RST); new ones can be made."""
        self._network.call(self._cut)

    def forget(self) -> None:
        """End a hold as after a long partition: what was held up is gone, with its connections."""
        self.cut()
        self.release()

    def refuse(self) -> None:
        """Break all connections and refuse new ones."""
        self._network.run(self._refuse())

    def accept(self) -> None:
        """Take connections, unless it does already."""
        self._network.run(self._accept())

    def slow(self, delay: float, jitter: float = 0.0) -> None:
        """Delay whatever passes by ``delay`` ± ``jitter`` seconds; 0 ends it."""
        self._delay, self._jitter = delay, jitter

    def _hold(self, directions: tuple[Direction, ...]) -> None:
        for way in directions:
            self._open[way].clear()

    def _release(self) -> None:
        for event in self._open.values():
            event.set()

    async def _accept(self) -> None:
        if self._server is None:
            self._release()
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        self._cut()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _cut(self) -> None:
        for connection in self._connections:
            connection.cancel()
        for writer in self._writers:
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        try:
            await self._passes(Direction.TO_SERVER)
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._connections.discard(task)
            self._writers.discard(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(server_writer)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, server_writer, Direction.TO_SERVER))
                pumps.create_task(self._pump(server_reader, writer, Direction.TO_CLIENT))
        except* OSError:
            _reset(writer)
            _reset(server_writer)
        finally:
            server_writer.close()
            self._writers.discard(server_writer)
            writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction
    ) -> None:
        while data := await reader.read(CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay + random.uniform(-1, 1) * self._jitter)
            await self._passes(way)
            writer.write(data)
            await writer.drain()
        await self._passes(way)
        if writer.can_write_eof():
            writer.write_eof()

    async def _passes(self, way: Direction) -> None:
        await self._open[way].wait()


class Network:
    """The thread in which links live."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._links: list[Link] = []

    def link(self, name: str, port: int) -> Link:
        """Make a link to ``port`` on 127.0.0.1; what connects to its own ``port`` gets there."""
        link = Link(self, name, port)
        link.accept()
        self._links.append(link)
        return link

    def heal(self) -> None:
        """Let every link work again."""
        for link in self._links:
            link.slow(0)
            link.accept()
            link.release()

    def close(self) -> None:
        """Break every link for good."""
        for link in self._links:
            link.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, act: Callable[[], object]) -> None:
        """Do something in the thread, and wait until it is done."""

        async def run() -> None:
            act()

        self.run(run())

    def run(self, act: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the thread, and wait for its end."""
        asyncio.run_coroutine_threadsafe(act, self._loop).result(10)


def _reset(writer: asyncio.StreamWriter) -> None:
    opened = writer.get_extra_info("socket")
    if opened is not None and opened.fileno() >= 0:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()
