# SPDX-License-Identifier: GPL-2.0-only
"""The bytes of a file, unpacked; what cannot hold a patch as text is named for what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from harness.base.errors import UsageError

LIMIT = 256 << 20  # bytes: what Linux itself is as one diff is a tenth of this
PACKED = (".gz", ".xz", ".bz2")
_BOM = b"\xef\xbb\xbf"
_AS_PATCHES = "give the patches as files"
# What begins like this is no text, and what to do instead.
_OTHER = (
    (b"# v2 git bundle", "a git bundle", "git fetch it into the tree, then give a range"),
    (b"# v3 git bundle", "a git bundle", "git fetch it into the tree, then give a range"),
    (b"PACK\0", "a git pack", "give a range of the tree"),
    (b"PK\x03\x04", "a zip archive", "unpack it and give the folder"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give the folder"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it and give the folder"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "zstd -d it"),
    (b"%PDF-", "a PDF", _AS_PATCHES),
    (b"\x7fELF", "a program", _AS_PATCHES),
    (b"\xff\xfe", "UTF-16 text", "iconv -f UTF-16 -t UTF-8 it"),
    (b"\xfe\xff", "UTF-16 text", "iconv -f UTF-16 -t UTF-8 it"),
)  # fmt: skip
_WEB = (b"<!doctype html", b"<html")
_Packed = gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File
_OPENERS: tuple[tuple[bytes, str, Callable[[IO[bytes]], _Packed]], ...] = (
    (b"\x1f\x8b", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"\xfd7zXZ\0", "xz", lzma.LZMAFile),
    (b"BZh", "bzip2", bz2.BZ2File),
)


def read_file(path: Path, source: str) -> bytes:
    """Return what a file or a pipe holds, unpacked. Raise UsageError that begins with `source`."""
    try:
        with path.open("rb") as file:
            return unpacked(file.read(LIMIT + 1), source)
    except OSError as error:
        raise UsageError(f"{error.filename or source}: {error.strerror or error}") from None


def unpacked(data: bytes, source: str) -> bytes:
    """Return `data` without compression and byte-order mark.

    Raise UsageError for what is empty, too large, damaged, or cannot hold patches as text.
    """
    for magic, name, opener in _OPENERS:
        if data.startswith(magic):
            with opener(io.BytesIO(data)) as file:
                data = _read(file, name, source)
            break
    if len(data) > LIMIT:
        raise UsageError(f"{source} is larger than {LIMIT >> 20} MiB: no series is")
    data = data.removeprefix(_BOM)
    kind = named(data)
    if kind:
        raise UsageError(f"{source} is {kind[0]}: {kind[1]}")
    if not data.strip():
        raise UsageError(f"{source} is empty")
    return data


def _read(file: _Packed, name: str, source: str) -> bytes:
    try:
        return file.read(LIMIT + 1)
    except (OSError, EOFError, ValueError, MemoryError, zlib.error, lzma.LZMAError):
        raise UsageError(f"{source}: the {name} file is damaged or cut short") from None


def named(data: bytes) -> tuple[str, str] | None:
    """Return what `data` is when it is no text, and the way out; None for text."""
    for magic, what, way_out in _OTHER:
        if data.startswith(magic):
            return what, way_out
    if data[257:262] == b"ustar":
        return "a tar archive", "unpack it and give the folder"
    start = data[:64]
    if len(start) > 8 and (not any(start[1::2]) or not any(start[::2])) and any(start):
        return "UTF-16 text", "iconv -f UTF-16 -t UTF-8 it"
    if data[:512].lstrip().lower().startswith(_WEB):
        return "a web page", "save the mail itself (of an archive: its address with /raw)"
    return None
