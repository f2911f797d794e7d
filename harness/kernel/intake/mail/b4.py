# SPDX-License-Identifier: GPL-2.0-only
"""A series by its message id, from the public archive, through b4."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.base.deadline import Deadline
from harness.base.errors import MachineError, UsageError
from harness.base.process import ToolTimeoutError, run_quiet
from harness.base.text import clean

SECONDS = 120  # for a thread of a hundred mails over a slow line
_PREFIX = re.compile(r"(?:link|message-id|rfc822msgid|mid|id): *", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"[^\s<>@/{}:]+@[A-Za-z0-9\[][^\s<>@/{}:]*")
_KNOWN = r"(?:[\w-]+\.)*(?:kernel\.org|msgid\.link|patchwork\.[\w.-]+)"
# An archive, or a patchwork: those that are known also without https://.
_ADDRESS = re.compile(rf"https?://\S+|{_KNOWN}/\S*", re.IGNORECASE)
# These have a mail by its message id, whichever of their addresses names it.
_BY_ID = re.compile(_KNOWN, re.IGNORECASE)


def message_of(given: str) -> str | None:
    """Return the message id that `given` is or has in it, or an address that b4 knows to read.

    None when it is neither. Raise UsageError for the address of something else.
    """
    text = _PREFIX.sub("", given.strip(), count=1).strip()
    text = text[1:-1] if text[:1] == "<" and text[-1:] == ">" else text
    if not _ADDRESS.fullmatch(text):
        return text if _MESSAGE_ID.fullmatch(text) else None
    address = text if "://" in text else f"https://{text}"
    try:
        where = urlsplit(address)
    except ValueError:
        return None
    ids = [part for part in map(unquote, where.path.split("/")) if _MESSAGE_ID.fullmatch(part)]
    if not ids:
        raise UsageError(
            f"{given}: an address without a message id: give that of one of the series' mails"
        )
    return ids[-1] if _BY_ID.fullmatch(where.hostname or "") else address


def fetch(message_id: str, folder: Path, *, mailbox: Path | None = None) -> Path:
    """Return the mailbox in `folder` that b4 makes of a thread, or of a local `mailbox`.

    `message_id` is one, or an address that has it. Raise MachineError when b4 or the network is
    missing, UsageError when there is no such message.
    """
    # Beside this Python first: where the extra `dev` put it.
    program = shutil.which("b4", path=str(Path(sys.executable).parent)) or shutil.which("b4")
    if not program:
        raise MachineError(
            f"{message_id}: b4 is missing: pip install b4, or save the thread to a file"
        )
    local = ["-m", str(mailbox.resolve())] if mailbox else []
    command = [program, "--no-stdin", "am", "-o", str(folder), *local, message_id]
    try:
        done = run_quiet(command, Deadline(SECONDS), cwd=folder)
    except ToolTimeoutError:
        raise MachineError(
            f"{message_id}: b4 had no answer in {SECONDS} s: is there a network?"
        ) from None
    mailboxes = sorted(folder.glob("*.mbx"))
    if mailboxes:
        return mailboxes[0]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    why = clean(lines[-1], 200) if lines else f"exit status {done.returncode}"
    if any(word in done.stderr for word in ("ConnectionError", "NameResolution", "ProxyError")):
        raise MachineError(f"{message_id}: b4 does not reach the archive: is there a network?")
    raise UsageError(f"{message_id}: b4 has no series for it: {why}")
