# SPDX-License-Identifier: GPL-2.0-only
"""A harness that is ended in the middle of a file, with a lease and a console: what is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.base.paths import ROOT
from harness.hosts.lab.lease import holder
from harness.hosts.lab.link import Link
from tests.ssh_server import Proxy, SshServer
from tests.unit.hosts.lab.conftest import PATIENCE, soon

CODE = """
import json, sys
from pathlib import Path
from harness.base.deadline import Deadline
from harness.base.signals import end_in_good_order
from harness.hosts.lab.console import Console
from harness.hosts.lab.hostfile import HostFile
from harness.hosts.lab.lease import Lease
from harness.hosts.lab.link import Link

end_in_good_order()
values, there, log = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
host = HostFile.model_validate(values)
try:
    with Link(host) as link, Console(host, log) as console:
        link.connect(Deadline(60))
        with Lease(link, "alice@laptop", minutes=5):
            console.open()
            print("has it", flush=True)
            link.put(b"x" * 3_000_000, there, Deadline(600))
except KeyboardInterrupt:
    sys.exit(130)
"""


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_harness_that_is_ended_leaves_nothing_that_lasts(
    server: SshServer, link: Link, tmp_path: Path, number: signal.Signals
) -> None:
    there = tmp_path / "there"
    pid_file = tmp_path / "pid"
    with Proxy(server.port, rate=1_000_000) as proxy:
        server.trust(proxy.port)
        values = server.values() | {
            "address": f"{server.user}@127.0.0.1:{proxy.port}",
            "console": f"echo $$ > {pid_file}; exec cat",
        }
        command = [
            sys.executable,
            "-c",
            CODE,
            json.dumps(values),
            str(there),
            str(tmp_path / "log"),
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as harness:
            assert harness.stdout and harness.stdout.readline() == b"has it\n"
            end = time.monotonic() + PATIENCE
            part = there.with_name("there.part")
            while not (part.exists() and part.stat().st_size and pid_file.exists()):
                assert time.monotonic() < end
                time.sleep(0.01)
            proxy.rate = 50_000  # it is in the middle, and stays there
            harness.send_signal(number)
            proxy.rate = 5_000_000 if number is not signal.SIGKILL else 50_000
            code = harness.wait(PATIENCE)
    assert code == (130 if number is not signal.SIGKILL else -signal.SIGKILL)
    while alive(int(pid_file.read_text())):
        assert time.monotonic() < end
        time.sleep(0.01)
    held = holder(link, soon())
    if number is signal.SIGKILL:
        assert held and held.owner == "alice@laptop" and held.seconds <= 300
    else:
        assert held is None
    assert not there.exists()
    while part.exists():  # what has arrived goes, when the machine sees the end
        assert time.monotonic() < end
        time.sleep(0.01)
