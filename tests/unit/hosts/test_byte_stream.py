# SPDX-License-Identifier: GPL-2.0-only
"""Lines out of bytes, however these come."""

from __future__ import annotations

import pytest

from harness.hosts.byte_stream import LineSplitter


@pytest.mark.parametrize("size", [1, 3, 100])
def test_lines_do_not_depend_on_how_the_bytes_come(size: int) -> None:
    data = b"one\r\n\ntwo \xff\nabcdefghijkl\nlast"
    lines: list[str] = []
    splitter = LineSplitter(lines.append, limit=5)
    for start in range(0, len(data), size):
        splitter.feed(data[start : start + size])
    splitter.finish()
    splitter.finish()
    assert lines == ["one", "", "two \ufffd", "abcde", "fghij", "kl", "last"]
