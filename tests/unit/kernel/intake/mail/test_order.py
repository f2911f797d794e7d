# SPDX-License-Identifier: GPL-2.0-only
"""Which mails of a thread are the series, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.kernel.intake import intake
from tests.unit.kernel.intake.mail.mails import (
    BODY,
    BODY_TWO,
    ONE,
    THREAD,
    TWO,
    Apply,
    mail,
    refused,
    write,
)


def series_of(*mails: str) -> str:
    return "".join(mails)


def test_what_was_sent_again(tmp_path: Path, applied: Apply) -> None:
    better = BODY.replace("10 changed", "10 better")
    text = series_of(mail("[PATCH 1/2] KVM: one"), mail("[PATCH 2/2] KVM: two", BODY_TWO),
                     mail("[PATCH RESEND 1/2] KVM: one", better))  # fmt: skip
    taken = intake.take(write(tmp_path, text), tree=None)
    assert applied(taken).lines() == ["line 10 better", TWO]
    assert any("left out, for it was sent again (RESEND)" in note for note in taken.notes)


def test_a_copy_that_a_list_has_changed(tmp_path: Path, applied: Apply) -> None:
    """One Message-ID is one mail, whatever a list made of its subject."""
    text = series_of(mail("[PATCH] KVM: one", Message_ID="<a@x>"),
                     mail("[PATCH] [SUSPECT] KVM: one (external)", Message_ID="<a@x>"))  # fmt: skip
    taken = intake.take(write(tmp_path, text), tree=None)
    assert taken.subjects == ("KVM: one",) and applied(taken).lines() == [ONE]


@pytest.mark.parametrize("answers", ["", "<a1@x>", "<c3@x>"])
def test_a_part_sent_again_answers_its_own_patch_or_nothing(
    answers: str, tmp_path: Path, applied: Apply
) -> None:
    better = BODY.replace("10 changed", "10 better")
    more = {"In_Reply_To": answers} if answers else {}
    text = series_of(
        mail("[PATCH v2 1/2] KVM: one", Message_ID="<a1@x>"),
        mail("[PATCH v2 2/2] KVM: two", BODY_TWO, Message_ID="<a2@x>"),
        mail("[PATCH v3 1/2] KVM: one", better, Message_ID="<b1@x>", **more),
    )
    made = applied(intake.take(write(tmp_path, text), tree=None))
    assert made.lines() == ["line 10 better", TWO]


@pytest.mark.parametrize(
    "more",
    [
        mail("[PATCH v3 1/2] KVM: one", In_Reply_To="<a2@x>"),
        mail("[PATCH v3 0/2] KVM: cover", "Words.\n") + mail("[PATCH v3 1/2] KVM: one"),
        mail("[PATCH v3 1/3] KVM: one"),
    ],
)
def test_a_new_version_with_a_hole_is_no_part(more: str, tmp_path: Path) -> None:
    text = series_of(mail("[PATCH v2 1/2] KVM: one", Message_ID="<a1@x>"),
                     mail("[PATCH v2 2/2] KVM: two", BODY_TWO, Message_ID="<a2@x>"))  # fmt: skip
    assert "missing" in refused(write(tmp_path, text + more))


def test_versions_of_stable_branches_are_none(tmp_path: Path) -> None:
    text = series_of(mail("[PATCH v6.1 1/2] KVM: one"), mail("[PATCH v6.1 2/2] KVM: two", BODY_TWO))
    assert len(intake.take(write(tmp_path, text), tree=None).patches) == 2
    text += series_of(mail("[PATCH v6.6 1/2] KVM: one"), mail("[PATCH v6.6 2/2] KVM: t", BODY_TWO))
    assert "more than one series in it (for v6.1; for v6.6): give one" in refused(
        write(tmp_path, text)
    )


def test_one_more_than_there_are(tmp_path: Path, applied: Apply) -> None:
    text = series_of(mail("[PATCH 1/1] KVM: one"), mail("[PATCH 2/1] KVM: two", BODY_TWO))
    taken = intake.take(write(tmp_path, text), tree=None)
    assert taken.notes == ("2/1 stands at the end",) and applied(taken).lines() == [ONE, TWO]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Nothing.\n", ""),
        ("Nothing.\n---\n 1 file changed, 1 insertion(+)\n", "2/3 is missing"),  # its diff is lost
    ],
)
def test_an_empty_commit_is_left_out(body: str, words: str, tmp_path: Path, applied: Apply) -> None:
    text = series_of(mail("[PATCH 1/3] KVM: one"), mail("[PATCH 2/3] KVM: empty", body),
                     mail("[PATCH 3/3] KVM: two", BODY_TWO))  # fmt: skip
    given = write(tmp_path, text)
    if words:
        assert words in refused(given)
    else:
        taken = intake.take(given, tree=None)
        assert taken.notes == ("2/3 changes nothing: left out",)
        assert applied(taken).lines() == [ONE, TWO]


def test_a_diff_in_the_cover_letter(tmp_path: Path, applied: Apply) -> None:
    cover = mail("[PATCH 0/1] KVM: cover", BODY_TWO)
    given = write(tmp_path, cover + mail("[PATCH 1/1] KVM: one"))
    taken = intake.take(given, tree=None)
    assert applied(taken).lines() == [ONE]
    assert taken.notes[0].endswith(f"a cover letter; to try it, give {given}#1")
    assert applied(intake.take(f"{given}#1", tree=None)).lines() == [TWO]


def test_the_base_is_that_of_the_version_that_is_taken(tmp_path: Path) -> None:
    old, new = "1" * 40, "2" * 40
    text = series_of(mail("[PATCH 0/1] KVM: cover", f"x\n\nbase-commit: {old}\n"),
                     mail("[PATCH 1/1] KVM: one"),
                     mail("[PATCH v2 1/1] KVM: one", f"{BODY}\nbase-commit: {new}\n"))  # fmt: skip
    assert intake.take(write(tmp_path, text), tree=None).base_commit == new


def test_two_replies_with_diffs(tmp_path: Path, applied: Apply) -> None:
    given = write(tmp_path, mail("Re: [BUG] x") + mail("Re: [BUG] x", BODY_TWO))
    said = refused(given)
    assert f"2 replies with a diff and no patch: take one, the first: give {given}#1" in said
    assert applied(intake.take(f"{given}#2", tree=None)).lines() == [TWO]


def test_below_scissors(tmp_path: Path, applied: Apply) -> None:
    body = f"On Thu, X wrote:\n> no\n\nSo?\n\n-- >8 --\nSubject: [PATCH] KVM: fix\n\n{BODY}"
    taken = intake.take(write(tmp_path, mail("Re: [BUG] x", body)), tree=None)
    assert taken.subjects == ("KVM: fix",)
    assert applied(taken).log("%s|%b")[0] == "KVM: fix|Why it is so."


def test_a_thread_with_replies_in_which_the_patch_is_quoted_whole(
    tmp_path: Path, applied: Apply
) -> None:
    quoted = "".join(f"> {line}" for line in BODY.splitlines(True)) + "\nAcked-by: X <x@y>\n"
    text = THREAD + mail("Re: [PATCH 1/2] KVM: one", quoted)
    taken = intake.take(write(tmp_path, text), tree=None)
    assert taken.notes == () and applied(taken).lines() == [ONE, TWO]
