# SPDX-License-Identifier: GPL-2.0-only
"""The bytes of a file to mails: those of a mailbox, a single one, or a text with diffs."""

from __future__ import annotations

from harness.base.errors import UsageError
from harness.kernel.intake.mail import split
from harness.kernel.intake.mail.bare import read_text
from harness.kernel.intake.mail.mails import Mail, read_message

_MOST = 9_999


def read_mails(data: bytes, source: str, place: str = "") -> list[Mail]:
    """Return the mails of a mailbox, of a single mail or of a text with diffs, in their order.

    `source` names them in messages, `place` on a command line. Raise UsageError for what cannot be
    read.
    """
    if not split.is_mail(data):
        return read_text(data, source, place)
    messages = split.messages(data)
    if len(messages) > _MOST:
        raise UsageError(f"{source}: {len(messages)} mails: give the series' own")
    many = len(messages) > 1
    return [
        mail
        for n, message in enumerate(messages, start=1)
        for mail in read_message(
            message,
            f"{source}, mail {n}" if many else source,
            f"{place}#{n}" if many and place else place,
        )
    ]
