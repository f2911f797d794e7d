# SPDX-License-Identifier: GPL-2.0-only
"""Each sample of tests/data/field gives the series that its sender meant, on its tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.base.errors import UsageError
from harness.base.paths import ROOT
from harness.evaluate.patch.request import Options, job_of
from harness.kernel import series
from harness.kernel.intake import intake
from harness.kernel.intake.kept import PatchSeries

SAMPLES = ROOT / "tests/data/field/samples"
ONE, TWO, THREE = "line 10 changed", "line 25 changed", "line 40 changed"
# Sample; subjects; the lines that it adds; its notes, each by a part.
ROWS: list[tuple[str, str, list[str], list[str]]] = [
    ("1attach-7bit.mbx", "KVM: one", [ONE], []),
    ("1attach-base64.mbx", "KVM: one", [ONE], []),
    ("2attach7bit.mbx", "KVM: one|KVM: two", [ONE, TWO], []),
    ("base-absent.mbx", "KVM: one", [ONE], []),
    ("bom.patch", "KVM: one", [ONE], []),
    ("charset-y.patch", "KVM: one", ["line 10 chängéd"],
     ["the character set y is unknown: read as UTF-8"]),
    ("cover-thread.mbx", "KVM: one|KVM: two", [ONE, TWO], []),
    ("crlf.mbx", "KVM: one|KVM: two", [ONE, TWO], []),
    ("dash.patch", "docs: dashes", ["-- changed"], []),
    ("footer.mbx", "KVM: one|KVM: two", [ONE, TWO], []),
    ("git-email-num.eml", "KVM: one", [ONE], []),
    ("git-log-p-2.patch", "KVM: one|KVM: two", ["line 10 changed twice"],
     ["the oldest of its commits is first"]),
    ("half.mbx", "KVM: one|KVM: one and a half|KVM: two", [ONE, TWO, THREE],
     ["1.5/2 stands behind 1/2"]),
    ("html-alt.mbx", "KVM: one", [ONE], []),
    ("list-re.mbx", "KVM: one", [ONE],
     ["mail 2 '[kvmarm] Re: [PATCH] KVM: one', a reply; to try it, give {}#2"]),
    ("msg-diff.patch", "KVM: one", [ONE, "virt DEBUG"],
     ["a diff stands in its message, above ---: it is applied, too, as git am does"]),
    ("natural", "1-x.patch|2-x.patch|10-x.patch", [ONE, TWO, THREE], []),
    ("noprefix.patch", "KVM: one", [ONE], ["made without a/ and b/"]),
    ("partial-v3.mbx", "KVM: one|KVM: two", [ONE, "line 25 better"],
     ["only 2/2 was sent again as v3: 1/2 is v2's"]),
    ("patchv2.mbx", "KVM: one|KVM: two", ["line 10 better", "line 25 better"],
     ["v2 is taken; left out: v1"]),
    ("patchv2-fewer.mbx", "KVM: one", ["line 10 better"], ["v2 is taken; left out: v1"]),
    ("reply-diff.mbx", "KVM: one", [ONE], ["a reply, is taken as the patch"]),
    ("reply-inline-fp.mbx", "KVM: arm64: Fix PMU probe ordering", [ONE],
     ["a reply, is taken as the patch"]),
    ("same-single-twice.mbx", "KVM: one", [ONE], []),
    ("stable-two-branches.mbx", "KVM: one|KVM: two", [ONE, TWO], []),
    ("thread-with-hack.mbx", "KVM: one|KVM: two", [TWO, THREE],
     ["a reply; to try it, give {}#3"]),
    ("thread.mbox.gz", "KVM: one|KVM: two", [ONE, TWO], []),
    ("v2.1.mbx", "KVM: one|KVM: two", [ONE, "line 25 better"],
     ["only 2/2 was sent as v2.1: 1/2 is v2's"]),
]  # fmt: skip
REFUSED = [("name-nul.patch", "a NUL byte in it")]

Apply = Callable[[PatchSeries], Any]


def test_every_sample_has_a_row() -> None:
    named = [row[0] for row in ROWS] + [name for name, _ in REFUSED]
    assert sorted(named) == sorted(path.name for path in SAMPLES.iterdir())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_applied(row: tuple[str, str, list[str], list[str]], applied: Apply) -> None:
    name, subjects, lines, notes = row
    given = str(SAMPLES / name)
    taken = intake.take(given, tree=None)
    assert taken.subjects == tuple(subjects.split("|"))
    made = applied(taken)
    assert made.lines() == lines
    assert len(taken.notes) == len(notes)
    for said, wanted in zip(taken.notes, notes, strict=True):
        assert wanted.format(given) in said
    # A kernel's name takes the same.
    assert series.patches([given]) == list(taken.patches)
    assert series.notes([given]) == list(taken.notes)


@pytest.mark.parametrize(("name", "said"), REFUSED)
def test_what_is_refused(name: str, said: str, field_tree: Path) -> None:
    for take in (lambda given: intake.take(given, tree=field_tree), intake.take_file):
        with pytest.raises(UsageError, match=said) as error:
            take(str(SAMPLES / name))
        assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("name", "author", "body"),
    [
        ("1attach-base64.mbx", "Real Author <real@localhost>", "Why it is so."),
        ("reply-inline-fp.mbx", "Marc <m@localhost>", "Why it is so."),
        ("reply-diff.mbx", "D <d@localhost>", "Can you give the following a go?"),
        ("git-log-p-2.patch", "D <d@localhost>", "Why."),
        ("git-email-num.eml", "D <d@localhost>", "Why it is so."),
        ("html-alt.mbx", "D <d@localhost>", "Why."),
    ],
)
def test_authors_and_messages(name: str, author: str, body: str, applied: Apply) -> None:
    made = applied(intake.take(str(SAMPLES / name), tree=None))
    assert made.log("%an <%ae>")[0] == author
    assert body in made.log("%B")
    assert made.log("%ad")[0].startswith("Thu Sep 7 11:14:59 2023")


def test_one_mail_of_a_thread(applied: Apply) -> None:
    given = f"{SAMPLES / 'thread-with-hack.mbx'}#3"
    taken = intake.take(given, tree=None)
    assert taken.subjects == ("KVM: arm64: Fix PMU probe ordering",)
    assert applied(taken).lines() == [ONE]
    assert series.patches([given]) == list(taken.patches)
    with pytest.raises(UsageError, match="no mail 4"):
        intake.take(given.replace("#3", "#4"), tree=None)


def test_a_base_that_the_tree_lacks(field_tree: Path) -> None:
    with pytest.raises(UsageError, match=r"no such commit in .*; name another base: --base REF"):
        job_of(str(SAMPLES / "base-absent.mbx"), Options(tree=str(field_tree)), each=False)
