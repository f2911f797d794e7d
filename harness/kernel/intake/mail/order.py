# SPDX-License-Identifier: GPL-2.0-only
"""Which mails are the series, and in what order: b4's rules, and what b4 does not read."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.intake.mail.mails import Mail
from harness.kernel.intake.mail.subject import Number, Version, number_text, version_text
from harness.kernel.intake.taken import Taken


@dataclass
class _Box:
    """Mails that came in together: what they are called, and what is to be told of them."""

    source: str
    mails: list[Mail]
    notes: list[str] = field(default_factory=list)

    def refuse(self, why: str) -> UsageError:
        return UsageError(f"{self.source}: {why}")


def series(mails: Sequence[Mail], source: str, *, alone: bool = False) -> Taken:
    """Return the one series among `mails` in order, with a line for each thing left out.

    `alone`: a single patch of a longer series is taken as it is. Raise UsageError: no patch, a
    hole (it is named), two series.
    """
    box = _Box(source, [_with_sure_version(mail, mails) for mail in mails])
    patches = _without_covers(_patches(box), box)
    newest = max(mail.about.version for mail in patches)
    covers = [mail for mail in box.mails if mail.cover and mail.about.version == newest]
    first = patches[0]
    if alone and len(patches) == 1 and first.about.total > 1 and not covers:
        box.notes.append(f"patch {number_text(first.about.number)} of {first.about.total}, alone")
        ordered = patches
    else:
        ordered = _ordered(_version(patches, newest, covers, box), box)
    based = next((mail for mail in (*covers, *ordered) if mail.base_commit), None)
    if based and based.needs:
        count = "1 patch" if based.needs == 1 else f"{based.needs} patches"
        box.notes.append(f"it builds on {count} that it does not hold (prerequisite-patch-id): "
                         "not applied")  # fmt: skip
    notes = [*(note for mail in ordered for note in mail.notes), *box.notes]
    return Taken(ordered, based.base_commit if based else "", notes=list(dict.fromkeys(notes)))


def _with_sure_version(mail: Mail, mails: Sequence[Mail]) -> Mail:
    """`v2.1` is a version where there is a v2; `[PATCH v6.1]` is one for a stable branch."""
    major, minor = mail.about.version
    if minor and not any(other.about.version == (major, 0) for other in mails):
        return replace(mail, about=replace(mail.about, version=(1, 0)))
    return replace(mail, about=replace(mail.about, branches=())) if minor else mail


def _patches(box: _Box) -> list[Mail]:
    """The patches, each once; those in replies only when there are no others."""
    found = _once(mail for mail in box.mails if mail.text)
    if not found:
        count = "1 mail" if len(box.mails) == 1 else f"{len(box.mails)} mails"
        hint = ": HTML is not read, only text/plain" if any(m.html for m in box.mails) else ""
        raise box.refuse(f"no patch in it ({count}){hint}")
    replies = {mail.place: mail for mail in found if mail.reply}
    sent = [mail for mail in found if not mail.reply]
    if sent:
        box.notes += [
            f"left out: the diff in {mail.source}, a reply; to try it, {_way_to(mail)}"
            for mail in replies.values()
        ]
        return sent
    if len(replies) > 1:
        raise box.refuse(
            f"{len(replies)} replies with a diff and no patch: take one,"
            f" the first: {_way_to(found[0])}"
        )
    box.notes.append(f"the diff in {found[0].source}, a reply, is taken as the patch")
    return found


def _once(mails: Iterable[Mail]) -> list[Mail]:
    """Each patch once: copies have the same Message-ID, or the same diff in the same place."""
    found: dict[object, Mail] = {}
    known: set[str] = set()
    for mail in sorted(mails, key=lambda mail: mail.reply):  # a reply may hold the patch itself
        about = mail.about
        same = (about.version, about.number, about.total, about.branches, mail.subject, mail.diff)
        if mail.message_id not in known and same not in found:
            found[same] = mail
        known |= {mail.message_id} if mail.message_id else set()
    return list(found.values())


def _without_covers(patches: list[Mail], box: _Box) -> list[Mail]:
    """A diff in a cover letter (0/N) is a remark, unless nothing else is there."""
    others = [mail for mail in patches if mail.about.total == 0 or any(mail.about.number)]
    if others and len(others) < len(patches):
        cover = next(mail for mail in patches if mail not in others)
        box.notes.append(
            f"left out: the diff in {cover.source}, a cover letter; to try it, {_way_to(cover)}"
        )
    alone = (replace(mail, about=replace(mail.about, total=0)) for mail in patches)
    return others or list(alone)


def _way_to(mail: Mail) -> str:
    """How one mail of many is given alone."""
    file, mark, number = mail.place.rpartition("#")
    place = f"{shlex.quote(file)}#{number}" if mark else shlex.quote(mail.place)
    sayable = mail.place and clean(place, 4000) == place
    return f"give {place}" if sayable else "save that mail and give its file"


def _version(patches: list[Mail], newest: Version, covers: list[Mail], box: _Box) -> list[Mail]:
    """The newest version; what it did not send again is of the one before."""
    chosen = _resent([mail for mail in patches if mail.about.version == newest], box)
    older = sorted({mail.about.version for mail in patches} - {newest}, reverse=True)
    again = "" if newest[1] else "again "
    borrowed: dict[Version, list[str]] = {}
    if older and not covers and _may_be_partial(chosen, box):
        total = chosen[0].about.total
        for version in older:
            there = {mail.about.number for mail in chosen}
            more = [
                mail
                for mail in _resent([m for m in patches if m.about.version == version], box)
                if mail.about.total == total and mail.about.number not in there
            ]
            chosen += more
            if more:
                borrowed[version] = [mail.about.count for mail in more]
    if borrowed:
        new = ", ".join(m.about.count for m in chosen if m.about.version == newest)
        rest = "; ".join(f"{', '.join(one)} is {version_text(v)}'s" for v, one in borrowed.items())
        box.notes.append(f"only {new} was sent {again}as {version_text(newest)}: {rest}")
    elif older:
        left = ", ".join(version_text(version) for version in sorted(older))
        box.notes.append(f"{version_text(newest)} is taken; left out: {left}")
    return chosen


def _may_be_partial(chosen: Sequence[Mail], box: _Box) -> bool:
    """b4: patches sent again answer those of the same number; here also those that answer none."""
    by_id = {mail.message_id: mail for mail in box.mails if mail.message_id}
    if not chosen[0].about.total or len({mail.about.total for mail in chosen}) > 1:
        return False
    parents = ((mail, by_id.get(mail.parent)) for mail in chosen)
    return all(
        not parent or parent.cover or parent.about.number == mail.about.number
        for mail, parent in parents
    )


def _resent(mails: list[Mail], box: _Box) -> list[Mail]:
    """A patch that was sent again, as RESEND, in the place of the one before."""
    again = {(m.about.number, m.about.total, m.about.total or m.subject): m
             for m in mails if m.about.resend}  # fmt: skip
    kept = []
    for mail in mails:
        other = again.get((mail.about.number, mail.about.total, mail.about.total or mail.subject))
        if other is None or mail.about.resend:
            kept.append(mail)
        else:
            box.notes.append(f"{mail.source}: left out, for it was sent again (RESEND)")
    return kept


def _ordered(patches: list[Mail], box: _Box) -> list[Mail]:
    branches = sorted({", ".join(mail.about.branches) for mail in patches})
    if len(branches) > 1:
        kinds = "; ".join(f"for {one}" if one else "for no branch" for one in branches)
        raise box.refuse(f"more than one series in it ({kinds}): give one")
    numbered = [mail for mail in patches if mail.about.total]
    if not numbered:
        return patches
    totals = sorted({mail.about.total for mail in numbered})
    if len(totals) > 1 or len(numbered) != len(patches):
        kinds = ", ".join(f"n/{total}" for total in totals)
        kinds += ", patches without a number" if len(numbered) != len(patches) else ""
        raise box.refuse(f"more than one series in it ({kinds}): give one")
    return _numbered(numbered, totals[0], box)


def _numbered(mails: Iterable[Mail], total: int, box: _Box) -> list[Mail]:
    """The mails in the order of their numbers."""
    by_number: dict[Number, Mail] = {}
    for mail in mails:
        other = by_number.setdefault(mail.about.number, mail)
        if other.diff != mail.diff:
            raise box.refuse(
                f"two different patches are {mail.about.count}: {other.source} and {mail.source}"
            )
    empty = _empty(box, total, {mail.about.version for mail in by_number.values()})
    missing = [n for n in range(1, total + 1) if (n, 0) not in by_number]
    if set(missing) <= empty:
        box.notes += [f"{n}/{total} changes nothing: left out" for n in missing]
    else:
        raise box.refuse(_missing(missing, total))
    for number, mail in by_number.items():
        if number[1]:
            box.notes.append(f"{mail.about.count} stands behind {number[0]}/{total}")
        elif number[0] > total:
            box.notes.append(f"{mail.about.count} stands at the end")
    return [by_number[number] for number in sorted(by_number)]


def _empty(box: _Box, total: int, versions: set[Version]) -> set[int]:
    """The numbers of mails that are empty commits, which git format-patch --always writes."""
    return {
        mail.about.number[0]
        for mail in box.mails
        if not (mail.text or mail.reply or mail.html or mail.stat)
        and (mail.about.total, mail.about.number[1]) == (total, 0)
        and mail.about.version in versions
    }


def _missing(numbers: list[int], total: int) -> str:
    named = ", ".join(f"{n}/{total}" for n in numbers[:4])
    more = f" and {len(numbers) - 4} more" if len(numbers) > 4 else ""
    return f"{named}{more} {'is' if len(numbers) == 1 else 'are'} missing"
