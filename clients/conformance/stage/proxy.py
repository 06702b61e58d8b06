"""A TCP proxy that can be slow, or lose connections without closing them."""

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self

from . import ports

CHUNK = 64 * 1024


class Proxy:
    """Passes connections on to `target`, and what comes back after `delay_seconds`.

    While it is frozen it swallows all there is to read. A connection it has done that to stays lost, as one that a
    firewall has forgotten: it is open, and nothing will ever come through it again, not even its end. Thawed, it
    passes new ones on.
    """

    def __init__(self, target: str, delay_seconds: float = 0) -> None:
        self._target = target
        self._delay = delay_seconds
        self._frozen = False
        # Connections of an earlier epoch are lost.
        self._epoch = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._started: Future[str] = Future()

    def __enter__(self) -> Self:
        self._thread.start()
        self.address = self._started.result()
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def freeze(self) -> None:
        """Loses every connection there is, and every one that comes, until it is thawed."""
        self._frozen = True

    def thaw(self) -> None:
        """Passes on what connects from now on."""
        self._epoch += 1
        self._frozen = False

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, ports.HOST, 0)
        self._started.set_result(f"{ports.HOST}:{server.sockets[0].getsockname()[1]}")
        await self._ended.wait()
        server.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        epoch = self._epoch

        def is_lost() -> bool:
            return self._frozen or epoch != self._epoch

        try:
            if is_lost():
                await _swallow(reader)
                return
            host, port = self._target.rsplit(":", 1)
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
            back = asyncio.create_task(_pump(there_reader, writer, is_lost, self._delay))
            try:
                await _pump(reader, there_writer, is_lost, 0)
            finally:
                back.cancel()
                there_writer.close()
        # Cancelled when the run ends.
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _pump(reader: StreamReader, writer: StreamWriter, is_lost: Callable[[], bool], delay: float) -> None:
    """Passes on what is read, its end included, until the connection is lost."""
    loop = asyncio.get_running_loop()
    try:
        while some := await reader.read(CHUNK):
            if not is_lost():
                loop.call_later(delay, writer.write, some)
    except ConnectionError:
        pass
    if not is_lost():
        loop.call_later(delay, writer.close)


async def _swallow(reader: StreamReader) -> None:
    while await reader.read(CHUNK):
        pass
