# SPDX-License-Identifier: GPL-2.0-only
"""A channel against a real Unix socket: what is cut into lines, what is kept, how it ends."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.base.errors import DiskFullError
from harness.hosts import byte_stream
from harness.hosts.byte_stream import LINE_LIMIT
from harness.hosts.events import QUEUE_LIMIT, Events
from harness.hosts.qemu.channel import Channel

PATIENCE = 10.0  # seconds; only a failing test waits that long


@pytest.fixture
def events() -> Events:
    return queue.Queue(QUEUE_LIMIT)


@pytest.fixture
def channel(tmp_path: Path, events: Events) -> Iterator[Channel]:
    made = Channel(tmp_path, "console", events, tmp_path / "console.log")
    yield made
    made.close()


def connect(channel: Channel) -> socket.socket:
    """The other end, as QEMU has it."""
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(PATIENCE)
    end.connect(str(channel.path))
    return end


def said(events: Events) -> list[str | None]:
    """The lines of the queue, up to the end of their source."""
    lines = []
    while True:
        event = events.get(timeout=PATIENCE)
        assert event.source == "console"
        lines.append(event.line)
        if event.line is None:
            return lines


def test_lines_come_whole_however_they_were_cut(channel: Channel, events: Events) -> None:
    with connect(channel) as guest:
        for part in (b"one\r\ntw", b"o\n", b"\n", b"no end"):
            guest.sendall(part)
            assert part != b"one\r\ntw" or events.get(timeout=PATIENCE).line == "one"
    assert said(events) == ["two", "", "no end", None]
    channel.finish()
    assert channel.path.with_suffix(".log").read_bytes() == b"one\r\ntwo\n\nno end"


def test_a_character_that_is_cut_in_two_stays_one(channel: Channel, events: Events) -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    with connect(channel) as guest:
        guest.sendall(b"marker\n" + first)
        assert events.get(timeout=PATIENCE).line == "marker"
        guest.sendall(second + b"\xff\n")
    assert said(events) == ["é\ufffd", None]


def test_a_line_without_end_comes_in_pieces(channel: Channel, events: Events) -> None:
    length = 3 * LINE_LIMIT
    with connect(channel) as guest:
        guest.sendall(b"x" * length + b"\nend\n")
    *pieces, last, end = said(events)
    assert (last, end) == ("end", None)
    assert "".join(p or "" for p in pieces) == "x" * length and len(pieces) > 1
    assert max(len(p or "") for p in pieces) <= 2 * LINE_LIMIT


def test_what_is_sent_arrives(channel: Channel) -> None:
    with connect(channel) as guest:
        assert channel.send(b"hello\n")
        assert guest.recv(100) == b"hello\n"


def test_sending_to_nobody_is_told(channel: Channel, events: Events) -> None:
    assert not channel.send(b"x", timeout=0.01)
    connect(channel).close()
    assert said(events) == [None]
    assert not channel.send(b"x" * 10_000_000)


def test_finish_waits_for_all_that_was_sent(channel: Channel, events: Events) -> None:
    with connect(channel) as guest:
        guest.sendall(b"".join(b"%d\n" % n for n in range(5000)))
    channel.finish()
    assert events.qsize() == 5001


def test_nobody_ever_connected(channel: Channel, events: Events) -> None:
    channel.finish()
    assert said(events) == [None]


def test_close_does_not_wait_for_a_reader_that_has_left(tmp_path: Path) -> None:
    """The queue is full and nobody takes anything out of it: all is in the log even so."""
    events: Events = queue.Queue(2)
    made = Channel(tmp_path, "console", events, tmp_path / "console.log")
    with connect(made) as guest:
        guest.sendall(b"".join(b"%d\n" % n for n in range(1000)))
    end = time.monotonic() + PATIENCE
    while not events.full():
        assert time.monotonic() < end
    made.close()
    assert events.qsize() == 2
    assert (tmp_path / "console.log").read_bytes().endswith(b"\n999\n")


def test_a_log_is_kept_up_to_its_limit(
    channel: Channel, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_stream, "LOG_LIMIT", 10)
    with connect(channel) as guest:
        guest.sendall(b"0123456789\n")
        assert events.get(timeout=PATIENCE).line == "0123456789"
        guest.sendall(b"more\n")
    assert said(events) == ["more", None]
    channel.finish()
    kept = channel.path.with_suffix(".log").read_bytes()
    assert kept == b"0123456789\n\n# s2eval: 5 bytes more are not kept\n"


def test_a_disk_that_is_full_is_a_problem_and_the_guest_goes_on(
    tmp_path: Path, events: Events
) -> None:
    (tmp_path / "full.log").symlink_to("/dev/full")
    for name in ("full.log", "none/none.log"):
        made = Channel(tmp_path, "console", events, tmp_path / name)
        with connect(made) as guest:
            guest.sendall(b"one\ntwo\n")
        assert said(events) == ["one", "two", None]
        made.close()
        made.path.unlink()
        reason = "No space left on device" if name == "full.log" else "No such file or directory"
        assert str(made.problem) == f"{tmp_path / name}: {reason}"
        assert isinstance(made.problem, DiskFullError) == (name == "full.log")
