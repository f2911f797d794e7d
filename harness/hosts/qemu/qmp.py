# SPDX-License-Identifier: GPL-2.0-only
"""QMP, QEMU's monitor protocol: commands, and events in their order, through qemu.qmp.

The import (with asyncio) takes 30 ms: process.py imports this module once QEMU runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

from qemu.qmp import EventListener, QMPClient, Runstate
from qemu.qmp.error import QMPError

from harness.base.errors import MachineError

ENDING = 5.0  # seconds for a command, and for the loop to do what is asked of it


# qemu.qmp's log lines about a QEMU that ends are not shown: process.py waits for the process.
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())


class Qmp:
    """A QMP monitor; QEMU connects, or has connected, to `listener`, which the caller closes.

    finish() writes the events to the file `log`, one JSON object a line.
    """

    def __init__(self, listener: socket.socket, log: Path) -> None:
        self.events: list[dict[str, object]] = []
        self._log = log
        self._client = QMPClient("s2eval")
        self._events = EventListener()
        self._client.register_listener(self._events)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()
        begun = asyncio.run_coroutine_threadsafe(self._begin(listener), self._loop)
        self._session = begun.result(timeout=ENDING)

    async def _begin(self, listener: socket.socket) -> asyncio.Task[None]:
        return asyncio.create_task(self._accept(listener))

    async def _accept(self, listener: socket.socket) -> None:
        """Negotiate the session, which takes milliseconds; QEMU sends no events before."""
        listener.setblocking(False)
        connection, _ = await self._loop.sock_accept(listener)
        await self._client.connect(connection)

    def execute(self, command: str, **arguments: object) -> Mapping[str, object]:
        """Run a QMP command and return its reply, {} for a reply that is no object.

        An underscore in an argument's name stands for a dash. Raise MachineError when QEMU refuses
        the command, is gone, or does not answer within ENDING seconds.
        """
        request = self._execute(command, {k.replace("_", "-"): v for k, v in arguments.items()})
        try:
            reply = asyncio.run_coroutine_threadsafe(request, self._loop).result(timeout=ENDING)
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise MachineError(f"QMP's {command}: {error or 'no answer'}") from None
        return reply if isinstance(reply, Mapping) else {}

    async def _execute(self, command: str, arguments: Mapping[str, object]) -> object:
        await asyncio.shield(self._session)  # QEMU has come
        return await self._client.execute(command, arguments)

    def finish(self) -> None:
        """Wait, once QEMU is gone, until all events of it are in `events` and in the log."""
        end = asyncio.run_coroutine_threadsafe(self._finish(), self._loop)
        with contextlib.suppress(TimeoutError):
            end.result(timeout=ENDING)

    async def _finish(self) -> None:
        while self._client.runstate is Runstate.RUNNING:
            await self._client.runstate_changed()
        while not self._events.empty():
            self.events.append(dict(await self._events.get()))
        text = "".join(json.dumps(event) + "\n" for event in self.events)
        with contextlib.suppress(OSError):
            self._log.write_text(text)

    def close(self) -> None:
        """Disconnect and end the loop's thread."""
        stop = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        with contextlib.suppress(TimeoutError):
            stop.result(timeout=ENDING)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=ENDING)
        self._loop.close()

    async def _stop(self) -> None:
        self._session.cancel()
        # qemu.qmp asserts that a session still runs once it is made: QEMU may be gone by then.
        ended = (asyncio.CancelledError, AssertionError, QMPError, OSError, EOFError)
        with contextlib.suppress(*ended):
            await self._session
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()
