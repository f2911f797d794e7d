# SPDX-License-Identifier: GPL-2.0-only
"""No input ends in anything but a series or one line: mutated samples, and folders of them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.base.errors import UsageError
from harness.base.paths import ROOT
from harness.base.text import clean
from harness.kernel.intake.mail import files
from harness.kernel.intake.taken import Taken

SAMPLES = sorted(path for path in (ROOT / "tests/data/field/samples").rglob("*") if path.is_file())
CORPUS = [path.read_bytes() for path in SAMPLES] + [gzip.decompress(SAMPLES[-2].read_bytes())]
# What parsers of mails, diffs and numbers are known to stumble over.
PIECES = [
    b"\0", b"\r", b"\r\n", b"\x0c", b"\x85", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80",
    b"\xe2\x80\xa8", b"9" * 5000, b"[" * 300, b">" * 300, b"\n" * 300,
    b"From ", b"From x Thu Jan  1 00:00:00 1970\nA: b\n", b"Re: ", b"[PATCH v", b"1.5/2", b"2/1",
    b"From: \n", b'From: "a <b@c\n', b"From: =?utf-8?b?=ff=?= <@>\n", b"Subject:\n",
    b"Subject: =?x?q?a?= =?utf-8?q?=ff?= =?utf-8?b?\x80?=\n", b"Message-ID: <" + b"x" * 400 + b"\n",
    b"Date: Thu, 99 Sep 99999 25:61:61 +9999\n", b"Date: Thu, 7 Sep 2023 11:14:59 -9999999\n",
    b'Content-Type: multipart/mixed; boundary="XX"\n', b"Content-Type: message/rfc822\n\n",
    b"Content-Type: multipart/alternative\n", b"Content-Type: text/plain; charset=unicode_escape\n",
    b"Content-Type: text/plain; charset*=x'y'%ff; format=flowed\n", b"Content-Type: ;;;\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''%ff; filename*1=.patch\n",
    b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: quoted-printable\n",
    b"--XX\n", b"--XX--\n", b"--XX\n\n--XX\n" * 30,
    b"diff --git ", b"diff --git x x\n", b"diff --cc x\n", b"Index: \n", b"--- ", b"+++ ",
    b"--- /dev/null\n+++ b/x\n", b"@@ -1,99999999999 +1,0 @@\n", b"@@ -0,0 +1 @@\n", b"\\ No\n",
    b"GIT binary patch\nliteral 1\n", b"Binary files a and b differ\n", b"rename from \n",
    b"commit 1234567\n", b"-- \n", b"---\n", b"-- >8 --\n", b"base-commit: 1234567\n",
]  # fmt: skip
MUTATION = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "repeat", "line", "other", "end"]),
    st.floats(0, 1),
    st.integers(0, 255),
    st.sampled_from(PIECES),
)


def mutated(data: bytes, how: str, where: float, much: int, piece: bytes) -> bytes:
    """One of the samples with one thing wrong."""
    at = int(where * len(data))
    rest = data[at:]
    line = data.rfind(b"\n", 0, at) + 1
    return {
        "flip": data[:at] + bytes([much]) + rest[1:],
        "cut": data[:at] + rest[much:],
        "insert": data[:at] + piece + rest,
        "repeat": data[:at] + rest[:much] + rest,
        "line": data[:line] + piece + data[line:],
        "other": data[:at] + CORPUS[much % len(CORPUS)] + rest,
        "end": data[:at],
    }[how]


@st.composite
def inputs(draw: st.DrawFn) -> bytes:
    """A sample with some things wrong, or bytes of any kind; perhaps packed, and then cut."""
    data = draw(st.one_of(st.sampled_from(CORPUS), st.binary(max_size=200)))
    for mutation in draw(st.lists(MUTATION, max_size=6)):
        data = mutated(data, *mutation)
    if draw(st.integers(0, 15)) == 0:
        data = gzip.compress(data, mtime=0)[: draw(st.integers(1, 4000))]
    return data


def is_series_or_one_line(read: Callable[[], Taken]) -> None:
    """Whatever comes out can be kept and printed: no control characters, no marks of direction."""
    try:
        taken = read()
    except UsageError as error:
        assert clean(str(error), 2000) == str(error).strip()
        assert "no mail that can be read" not in str(error)  # a parser gave up: see which one
        return
    assert taken.patches
    for patch in taken.patches:
        text = patch.text.encode("utf-8", errors="surrogateescape")
        assert text and b"\0" not in text
        assert clean(patch.subject) == patch.subject
    assert all(clean(note, 2000) == note for note in taken.notes), taken.notes


@settings(max_examples=400)
@given(inputs())
def test_bytes(data: bytes) -> None:
    is_series_or_one_line(lambda: files.read_bytes(data, "x"))


NAMES = st.sampled_from([
    "0001-x.patch", "10.patch", "9.patch", "a.mbox.gz", "cur", "series", "new\nline.diff", "ü.eml",
    "1", "2", f"{'9' * 200}.mbx", ".hidden.patch", "x.patch.txt",
])  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, inputs(), max_size=4))
def test_folders(tmp_path_factory: pytest.TempPathFactory, files_in: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("in")
    for name, data in files_in.items():
        (folder / name).write_bytes(data)
    is_series_or_one_line(lambda: files.read_path(folder, "x"))


def test_a_parser_that_gives_up_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **more: object) -> None:
        raise KeyError("a fault\nof the email package")

    monkeypatch.setattr("email.message_from_bytes", broken)
    with pytest.raises(UsageError, match="x: no mail that can be read"):
        files.read_bytes(b"From: a@b\n\nx\n", "x")
