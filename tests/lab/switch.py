# SPDX-License-Identifier: GPL-2.0-only
"""Console and power switch of the stand-in, as commands: what a BMC is to a real machine.

    switch.py console FOLDER
    switch.py power FOLDER on|off|cycle|status

The VM's QEMU runs all the time; off is a VM that is stopped, on begins with a reset. Only the
standard library is imported: both commands are started often.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from pathlib import Path
from typing import Any

PATIENCE = 20.0  # seconds for QEMU to answer


def qmp(folder: Path, *commands: str) -> Any:
    """Run QMP commands; return what the last one returned. Raise OSError when QEMU is not there."""
    answer: Any = None
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(PATIENCE)
        monitor.connect(str(folder / "qmp"))
        with monitor.makefile("rw", encoding="utf-8") as lines:
            lines.readline()  # the greeting
            for command in ("qmp_capabilities", *commands):
                lines.write(json.dumps({"execute": command}) + "\n")
                lines.flush()
                while "event" in (reply := json.loads(lines.readline())):
                    pass
                if "error" in reply:
                    raise OSError(f"{command}: {reply['error']['desc']}")
                answer = reply["return"]
    return answer


def power(folder: Path, action: str) -> None:
    """Do `action`: on, off, cycle or status."""
    running = qmp(folder, "query-status")["status"] == "running"
    if action == "status":
        print("power is on" if running else "power is off")
    elif action == "off":
        qmp(folder, "stop")
    elif action == "cycle":
        qmp(folder, "stop", "system_reset", "cont")
    elif not running:
        qmp(folder, "system_reset", "cont")


def console(folder: Path) -> None:
    """Connect this terminal to the serial port, until either ends."""
    with socket.socket(socket.AF_UNIX) as port:
        port.connect(str(folder / "serial"))
        ends = [port, sys.stdin]
        while True:
            ready, _, _ = select.select(ends, [], [])
            if port in ready:
                data = port.recv(65536)
                if not data:
                    return
                os.write(1, data)
            if sys.stdin in ready:
                data = os.read(0, 4096)
                if not data:
                    ends.remove(sys.stdin)
                port.sendall(data)


if __name__ == "__main__":
    try:
        if sys.argv[1] == "console":
            console(Path(sys.argv[2]))
        else:
            power(Path(sys.argv[2]), sys.argv[3])
    except (OSError, KeyboardInterrupt) as error:
        sys.exit(f"switch: {error}")
