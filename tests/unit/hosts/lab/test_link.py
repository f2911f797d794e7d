# SPDX-License-Identifier: GPL-2.0-only
"""The link over a real sshd: what it carries, what ends it, and how each fault is named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.errors import MachineError, OutOfTimeError
from harness.hosts.lab import link as module
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.link import Link
from tests.ssh_server import Proxy, SshServer
from tests.unit.hosts.lab.conftest import PATIENCE, soon

LIMIT = 1.5  # seconds of what must be too late


def through(server: SshServer, proxy: Proxy) -> Link:
    """A link through a proxy, whose port is known as the server's."""
    server.trust(proxy.port)
    return Link(server.host(address=f"{server.user}@127.0.0.1:{proxy.port}"))


def processes_with(mark: str) -> list[str]:
    found = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_a_command_over_ssh_has_its_words_status_and_streams(link: Link) -> None:
    done = link.run(
        ["sh", "-c", 'printf "%s|" "$@"; echo no >&2; exit 7', "x", "a b", "", "$c'd"], soon()
    )
    assert (done.status, done.out, done.err) == (7, "a b||$c'd|", "no\n")
    assert link.run(["cat"], soon(), "fed\n").out == "fed\n"
    assert link.shell("echo $((6 * 7))", soon()).check().out == "42\n"
    with pytest.raises(MachineError, match="on the host under test: no"):
        done.check()


def test_a_command_that_a_signal_ended_has_not_succeeded(link: Link) -> None:
    assert link.shell("kill -KILL $$", soon()).status != 0


@pytest.mark.skipif(not shutil.which("sudo"), reason="no sudo here")
def test_by_sudo(server: SshServer) -> None:
    with Link(server.host(sudo=True)) as link:
        link.connect(soon())
        done = link.run(["sh", "-c", "echo $SUDO_USER $(id -u); echo no >&2; exit 3"], soon())
        assert (done.status, done.out, done.err) == (3, f"{server.user} 0\n", "no\n")


def test_what_sudo_says_is_not_the_commands(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sudo warns of a name that cannot be resolved, and runs the command; a late one is ended."""
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\necho "sudo: unable to resolve host bare" >&2\nshift 2\nexec "$@"\n')
    sudo.chmod(0o755)
    monkeypatch.setattr("harness.hosts.lab.command.SUDO", (str(sudo), "-n", "--"))
    with Link(server.host(sudo=True)) as link:
        link.connect(soon())
        done = link.run(["sh", "-c", "echo no >&2; exit 3"], soon())
        assert (done.status, done.err) == (3, "no\n")
        with pytest.raises(LabError, match="did not end within"):
            link.run(["sleep", "4728"], Deadline(LIMIT))
        end = time.monotonic() + PATIENCE
        while processes_with("^sleep 4728$"):
            assert time.monotonic() < end


@pytest.mark.skipif(bool(shutil.which("sudo")), reason="there is a sudo here")
def test_without_sudo_on_the_machine(server: SshServer) -> None:
    with Link(server.host(sudo=True)) as link:
        link.connect(soon())
        done = link.run(["true"], soon())
    assert done.status == 127
    assert "sudo" in done.err


def test_output_of_a_megabyte_is_whole(link: Link) -> None:
    done = link.run_bytes(["sh", "-c", "head -c 1000000 /dev/zero | tee /dev/stderr"], soon())
    assert (len(done.out), len(done.err)) == (1_000_000, 1_000_000)


def test_many_commands_share_one_connection(link: Link, server: SshServer) -> None:
    for _ in range(5):
        link.run(["true"], soon()).check()
    assert server.log.read_text().count("Accepted publickey") == 1


def test_a_background_child_does_not_hold_a_command(link: Link) -> None:
    began = time.monotonic()
    done = link.shell("sleep 4721 & echo $!", soon())
    assert time.monotonic() - began < PATIENCE
    link.run(["kill", done.out.strip()], soon()).check()


def test_a_command_that_is_too_late_is_ended_there_too(link: Link) -> None:
    with pytest.raises(LabError, match=r"'sleep 4722' did not end within 1\.5 s") as error:
        link.run(["sleep", "4722"], Deadline(LIMIT))
    assert error.value.step is Step.COMMAND
    end = time.monotonic() + PATIENCE
    while processes_with("^sleep 4722$"):
        assert time.monotonic() < end
    assert link.run(["true"], soon()).status == 0


def test_the_limit_of_a_cell_is_not_the_machines_fault(link: Link) -> None:
    within = Deadline(LIMIT, reason="the cell took too long")
    with pytest.raises(OutOfTimeError, match="the cell took too long"):
        link.run(["sleep", "4723"], Deadline(PATIENCE, within=within))


def test_files_come_and_go_whole(link: Link, tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "here").write_bytes(data)
    there = tmp_path / "there/in a folder/x"
    link.put(tmp_path / "here", str(there), soon(), mode="640")
    assert there.read_bytes() == data
    assert there.stat().st_mode & 0o777 == 0o640
    link.get(str(there), tmp_path / "back", soon())
    assert (tmp_path / "back").read_bytes() == data
    link.put("text\n", str(there), soon())
    assert link.read(str(there), soon()) == b"text\n"


def test_a_file_that_is_not_there(link: Link, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="/nowhere/x: cat: /nowhere/x: No such file") as error:
        link.get("/nowhere/x", tmp_path / "x", soon())
    assert error.value.step is Step.FILE
    assert list(tmp_path.glob("*x")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server has mounts of its own")
def test_a_full_disk_is_the_machines(link: Link, tmp_path: Path) -> None:
    link.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], soon()).check()
    with pytest.raises(LabError, match="No space left on device") as error:
        link.put(b"x" * 100_000, f"{tmp_path}/there", soon())
    assert error.value.step is Step.DISK
    assert link.shell(f"ls {tmp_path}", soon()).out == ""
    link.put(b"x" * 10_000, f"{tmp_path}/there", soon())


def test_lines_come_while_a_command_runs(link: Link) -> None:
    lines: list[str] = []
    first, over = threading.Event(), threading.Event()

    def on_line(line: str) -> None:
        lines.append(line)
        first.set()

    script = "echo one; read x; echo $x >&2; printf end; exit 3"
    stream = link.stream(["sh", "-c", script], on_line, soon(), lambda status: over.set())
    assert first.wait(PATIENCE)
    assert stream.pid > 0 and stream.status is None
    assert stream.send("two\n")
    assert over.wait(PATIENCE)
    assert lines == ["one", "two", "end"]
    assert not stream.lost
    assert [stream.status] == [3]


def test_a_stream_is_ended_with_what_it_started(link: Link) -> None:
    over, first = threading.Event(), threading.Event()
    argv = ["sh", "-c", "sleep 4727 & echo x; wait"]
    stream = link.stream(argv, lambda _: first.set(), soon(), lambda _: over.set())
    assert first.wait(PATIENCE)
    link.end(stream, soon())
    assert over.wait(PATIENCE)
    assert stream.status
    assert processes_with("^sleep 4727$") == []


def end(pids: Path) -> None:
    """End the processes whose ids are in a file: with their connection gone sshd leaves them."""
    for pid in pids.read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)


def test_a_stream_tells_that_its_connection_was_lost(
    link: Link, server: SshServer, tmp_path: Path
) -> None:
    ended: list[int | None] = []
    over = threading.Event()

    def on_end(status: int | None) -> None:
        ended.append(status)
        over.set()

    first = threading.Event()
    stream = link.stream(
        ["sh", "-c", f"echo $$ >> {tmp_path}/pids; echo x; exec sleep 4724"],
        lambda _: first.set(),
        soon(),
        on_end,
    )
    assert first.wait(PATIENCE)
    server.cut()
    assert over.wait(PATIENCE)
    assert (ended, stream.lost) == ([None], True)
    end(tmp_path / "pids")


def test_a_lost_connection_is_opened_again_for_the_next_command(
    link: Link, server: SshServer
) -> None:
    boot = link.boot
    server.cut()
    assert link.run(["echo", "x"], soon()).out == "x\n"
    assert link.boot == boot
    assert not link.has_rebooted(soon())


def test_a_command_under_which_it_was_lost_is_not_run_again(
    link: Link, server: SshServer, tmp_path: Path
) -> None:
    script = (
        f"echo $$ >> {tmp_path}/pids; echo x >> {tmp_path}/ran;"
        f" [ -e {tmp_path}/again ] || exec sleep 4725"
    )

    def cut() -> None:
        end = time.monotonic() + PATIENCE
        while not (tmp_path / "ran").exists() and time.monotonic() < end:
            time.sleep(0.01)
        (tmp_path / "again").touch()
        server.cut()

    def run(*, repeat: bool) -> int:
        for name in ("ran", "again"):
            (tmp_path / name).unlink(missing_ok=True)
        thread = threading.Thread(target=cut)
        thread.start()
        try:
            return link.shell(script, soon(), repeat=repeat).status
        finally:
            thread.join()
            end(tmp_path / "pids")

    with pytest.raises(LabError, match="the connection was lost while") as error:
        run(repeat=False)
    assert error.value.step is Step.SSH
    assert (tmp_path / "ran").read_text() == "x\n"
    assert run(repeat=True) == 0
    assert (tmp_path / "ran").read_text() == "x\nx\n"


def test_a_machine_that_booted_meanwhile_is_not_gone_on_with(link: Link, server: SshServer) -> None:
    link.boot = "that of an earlier boot"
    server.cut()
    with pytest.raises(LabError, match="has booted while the connection was lost") as error:
        link.run(["true"], soon())
    assert error.value.step is Step.BOOT
    with pytest.raises(LabError, match="not connected"):
        link.run(["true"], soon())


def test_ssh_that_becomes_mute_under_a_command(server: SshServer) -> None:
    with Proxy(server.port) as proxy, through(server, proxy) as link:
        link.connect(soon())
        proxy.mute = True
        with pytest.raises(LabError, match="'true' did not end within") as error:
            link.run(["true"], Deadline(LIMIT))
        assert error.value.step is Step.COMMAND


def test_a_machine_that_has_gone_silent_loses_its_streams(
    server: SshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "KEEPALIVE", 0.2)
    monkeypatch.setattr(module, "SILENT", 0.5)
    over = threading.Event()
    with Proxy(server.port) as proxy, through(server, proxy) as link:
        link.connect(soon())
        command = ["sh", "-c", f"echo $$ >> {tmp_path}/pids; exec sleep 4726"]
        stream = link.stream(command, print, soon(), lambda _: over.set())
        assert not over.wait(1.5)  # it answers: nothing is closed
        proxy.mute = True
        assert over.wait(PATIENCE)
        assert stream.lost
    end(tmp_path / "pids")


def test_a_connection_cut_in_the_middle_of_a_file(server: SshServer, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    there = tmp_path / "there"
    with Proxy(server.port, cut_after=1_000_000) as proxy, through(server, proxy) as link:
        link.connect(soon())
        link.put(data, str(there), soon())
        assert proxy.cuts == 1
    assert there.read_bytes() == data
    assert list(tmp_path.glob("there*")) == [there]


def test_half_a_file_never_has_its_name(link: Link, tmp_path: Path) -> None:
    there = tmp_path / "there"
    argv = ["sh", "-c", module._PUT, "put", str(there), "1000", "600"]
    done = link.run(argv, soon(), b"x" * 999)
    assert (done.status, done.err) == (1, "not all arrived\n")
    assert not there.exists()


def test_a_slow_link_is_slow_and_no_fault(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KILL", 0.5)
    with Proxy(server.port) as proxy, through(server, proxy) as link:
        link.connect(soon())
        proxy.rate = 125_000  # 1 Mbit/s
        link.put(os.urandom(100_000), str(tmp_path / "there"), soon())
        assert (tmp_path / "there").stat().st_size == 100_000
        with pytest.raises(LabError) as error:
            link.put(os.urandom(3_000_000), str(tmp_path / "more"), Deadline(LIMIT))
    assert error.value.step in (Step.COMMAND, Step.FILE)
    assert not (tmp_path / "more").exists()


def test_nothing_is_left_after_close(server: SshServer) -> None:
    before = threading.active_count()
    link = Link(server.host())
    link.connect(soon())
    link.stream(["cat"], print, soon())
    link.close()
    link.close()
    end = time.monotonic() + PATIENCE
    while threading.active_count() > before:
        assert time.monotonic() < end, threading.enumerate()
        time.sleep(0.02)
    with pytest.raises(LabError, match="not connected"):
        Link(server.host()).run(["true"], soon())
