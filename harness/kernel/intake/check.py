# SPDX-License-Identifier: GPL-2.0-only
"""What must not or cannot be applied anywhere."""

from __future__ import annotations

import re

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.intake.mails import Mail

_PATH = re.compile(
    r"^(?:---|\+\+\+|rename (?:from|to)|copy (?:from|to)) (\"?)(\S.*?)\1(?:\t.*)?$", re.M
)
_DATALESS = re.compile(r"^Binary files (?:a/)?(.+?) and (?:b/)?(.+?) differ$", re.MULTILINE)


def check(mail: Mail) -> None:
    """Raise UsageError for a patch that must not or cannot be applied anywhere."""
    diff = mail.text.partition("\n---\n")[2]
    binary = _DATALESS.search(diff)
    if binary:
        name = binary[2] if binary[1] == "/dev/null" else binary[1]
        raise UsageError(
            f"{mail.source}: {clean(name)} is binary and its content is not in the patch"
            " (git format-patch --binary)"
        )
    for match in _PATH.finditer(diff):
        path = match[2]
        inner = path[2:] if path[:2] in {"a/", "b/"} else path
        outside = inner.startswith(("/", "~")) and path != "/dev/null"
        if outside or set(inner.split("/")) & {"..", ".git"}:
            raise UsageError(f"{mail.source}: the path {clean(path)} leaves the tree")
