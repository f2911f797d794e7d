# SPDX-License-Identifier: GPL-2.0-only
"""Mail as people have it, from the command line: a verdict in one command, or one line.

The patch changes no byte of the Image, so that nothing is booted, and all its forms hold the same
mail: they are one series, which is built once.
"""

from __future__ import annotations

import json
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest

from harness.base.paths import ROOT
from harness.kernel import source
from harness.kernel.git import git
from harness.kernel.spec import resolve
from tests.system.commands import KERNEL, S2Eval

SAMPLES = ROOT / "tests/data/field/samples"
HEAD = """\
From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001
From: Author <a@localhost>
Date: Thu, 7 Sep 2023 11:14:59 -0700
Subject: [PATCH{more}] CREDITS: Use words

Why it is so.

Signed-off-by: Author <a@localhost>
---
"""
MBOXRD = "From mboxrd@z Thu Jan  1 00:00:00 1970\n"


@pytest.fixture(scope="module")
def diff() -> str:
    """A change of debian-6.1's CREDITS, which no object is made of."""
    found = source.find(resolve(KERNEL).source)
    assert found
    text = git(found.tree.work, "show", f"{found.commit}:CREDITS")
    lines = [f" {line}\n" for line in text.split("\n")[:7]]
    line = lines[3][1:-1]
    lines[3] = f"-{line}\n+{line} of all\n"
    name = "diff --git a/CREDITS b/CREDITS\n--- a/CREDITS\n+++ b/CREDITS\n"
    return f"{name}@@ -1,7 +1,7 @@\n{''.join(lines)}"


def in_a_file(diff: str) -> str:
    return HEAD.format(more="") + diff + "-- \n2.39.5\n"


def attached_by_a_webmail(diff: str) -> str:
    """In base64, with an HTML part beside the words, as webmails do."""
    words = MIMEMultipart("alternative")
    words.attach(MIMEText("Patch attached."))
    words.attach(MIMEText(f"<pre>{diff.replace('of all', 'of HTML')}</pre>", "html"))
    patch = MIMEText(in_a_file(diff), "x-patch", "utf-8")
    patch.add_header("Content-Disposition", "attachment", filename="0001-CREDITS.patch")
    whole = MIMEMultipart("mixed")
    whole["From"], whole["Subject"] = "Sender <s@localhost>", "CREDITS fix"
    whole.attach(words)
    whole.attach(patch)
    return MBOXRD + whole.as_string()


def in_a_reply(diff: str) -> str:
    head = "From: Sender <s@localhost>\nSubject: Re: [BUG] CREDITS are short\n\n"
    return f"{MBOXRD}{head}On Sun, X wrote:\n> broken\n\nDoes this help?\n\n{in_a_file(diff)}"


def for_two_stable_branches(diff: str) -> str:
    return MBOXRD + HEAD.format(more=" 5.10/5.15 1/1").partition("\n")[2] + diff


FORMS = [in_a_file, attached_by_a_webmail, in_a_reply, for_two_stable_branches]


def test_each_form_gives_the_same_verdict(s2eval: S2Eval, diff: str) -> None:
    told: list[dict[str, Any]] = []
    for form in FORMS:
        (s2eval.home / "x.mbx").write_text(form(diff))
        ran = s2eval("patch", "x.mbx", "--kernel", KERNEL, "-m", "flat-tcg", "--json")
        assert ran.code == 125, ran.err  # no line of CREDITS is ever run
        told.append(json.loads(ran.out))
    assert {one["verdict"] for one in told} == {"not-exercised"}
    assert all(one["same_image"] for one in told)
    assert {one["patched"]["kernel"]["series_hash"] for one in told} == {
        told[0]["patched"]["kernel"]["series_hash"]
    }
    assert [len(one["notes"]) for one in told] == [0, 0, 1, 0]
    assert "a reply, is taken as the patch" in told[2]["notes"][0]
    # As a kernel's name it is the same build, which is there.
    ran = s2eval("build", f"{KERNEL}+./x.mbx")
    assert ran.code == 0 and told[0]["patched"]["kernel"]["build_key"] in ran.out, ran.out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["patch", str(SAMPLES / "name-nul.patch"), "--kernel", KERNEL], "a NUL byte in it"),
        (["patch", f"{SAMPLES}/half.mbx#7", "--kernel", KERNEL], "half.mbx#7: it has no mail 7"),
        (["patch", "x.mbx", "--kernel", KERNEL], "is UTF-16 text: iconv"),
        (["patch", "https://lore.kernel.org/kvmarm/", "--kernel", KERNEL], "without a message id"),
        (["build", f"{KERNEL}+./x.mbx"], "is UTF-16 text: iconv"),
        (["run", "-k", f"{KERNEL}+./x.mbx", "-m", "flat-tcg"], "is UTF-16 text: iconv"),
    ],
)  # fmt: skip
def test_what_is_no_series_is_one_line(s2eval: S2Eval, command: list[str], said: str) -> None:
    (s2eval.home / "x.mbx").write_text(in_a_file("none"), encoding="utf-16")
    ran = s2eval(*command)
    assert said in ran.one_line()
    assert (ran.code, ran.out) == (2, "")


def test_standard_input_that_is_closed(s2eval: S2Eval) -> None:
    ran = s2eval(prefix=("sh", "-c", f'exec "$0" patch - --kernel {KERNEL} <&-'))
    assert "standard input is closed" in ran.one_line()
    assert ran.code == 2
