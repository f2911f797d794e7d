# SPDX-License-Identifier: GPL-2.0-only
"""Files that appear whole: written under another name in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from harness.base.errors import DiskFullError

UNFINISHED = ".part-"  # how the names of files begin that are still being written


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an unused name beside `path`; what the block makes there takes `path`'s place.

    When the block raises, `path` stays as it is and the new file is removed.
    """
    # Not after `path`: its name may be as long as names can be.
    unfinished = path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def write_atomic(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Give `path` the `content` (text as UTF-8) from one moment to the next.

    Readers see the old file or the new one, also when several processes write. `durable`: the
    content is on disk before `path` names it, so that a crash of the machine loses neither.
    Raise OSError, without a trace of the new file, when there is no room for it.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as unfinished, unfinished.open("xb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


@contextlib.contextmanager
def full_disk_raises(place: str) -> Iterator[None]:
    """Raise DiskFullError that names the `place` when the block meets a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"no space left in {place}") from error
        raise
