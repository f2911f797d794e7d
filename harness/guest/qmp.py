# SPDX-License-Identifier: GPL-2.0-only
"""QMP through qemu.qmp, from synchronous code: commands block, events become lines of a queue."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, QMPClient
from qemu.qmp.error import QMPError

from harness.errors import MachineError
from harness.guest.channel import Event, Events


class Qmp:
    """One QMP monitor. QEMU connects to `path`; its events appear in `events` as JSON lines."""

    def __init__(self, path: Path, events: Events, source: str = "qmp") -> None:
        self._events = events
        self._source = source
        self._client = QMPClient(source)
        self._loop = asyncio.new_event_loop()
        self._listener = EventListener()
        self._client.register_listener(self._listener)
        self._thread = threading.Thread(target=self._loop.run_forever, name=source, daemon=True)
        self._thread.start()
        self._pump: asyncio.Task[None] | None = None
        self._ready = asyncio.run_coroutine_threadsafe(self._start(path), self._loop)

    async def _start(self, path: Path) -> None:
        await self._client.start_server(str(path))
        self._pump = asyncio.create_task(self._forward())

    async def _forward(self) -> None:
        await self._client.accept()
        async for event in self._listener:
            self._events.put(Event(self._source, json.dumps(dict(event))))

    def wait_listening(self) -> None:
        """Return once QEMU can connect."""
        self._ready.result(timeout=5)

    def execute(self, command: str, timeout: float = 5.0, **arguments: Any) -> Any:
        """Run a QMP command; MachineError when QEMU refuses or does not answer."""
        call = self._client.execute(command, arguments or None)
        try:
            return asyncio.run_coroutine_threadsafe(call, self._loop).result(timeout)
        except (QMPError, TimeoutError, OSError) as error:
            raise MachineError(f"QEMU's monitor: {command}: {error or 'no answer'}") from None

    def close(self) -> None:
        """Disconnect and end the loop's thread."""
        stop = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        with contextlib.suppress(Exception):
            stop.result(timeout=2)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)
        self._loop.close()

    async def _stop(self) -> None:
        if self._pump:
            self._pump.cancel()
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()
