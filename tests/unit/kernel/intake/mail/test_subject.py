# SPDX-License-Identifier: GPL-2.0-only
"""Subjects as lists have them. What b4 reads is what its own LoreSubject says of them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from harness.kernel.intake.mail.subject import Subject, parse, version_text

# Subject; number, total, version.
AS_B4 = [
    ("[PATCH] KVM: one", 1, 1, 1),
    ("KVM: one", 1, 1, 1),
    ("[PATCH 1/2] KVM: one", 1, 2, 1),
    ("[PATCH v3 02/10] KVM: one", 2, 10, 3),
    ("[PATCHv2 1/2] KVM: one", 1, 2, 2),
    ("[PATCH 1/2 v4] KVM: one", 1, 2, 4),
    ("[PATCH v2, 1/2] KVM: one", 1, 2, 2),
    ("[PATCH V2 1/2] KVM: one", 1, 2, 2),
    ("[RFC PATCH v2 0/7] KVM: cover", 0, 7, 2),
    ("[RFC][PATCH 1/2] KVM: one", 1, 2, 1),
    ("[PATCH RESEND v5 3/4] KVM: one", 3, 4, 5),
    ("[RESEND PATCH 1/1] KVM: one", 1, 1, 1),
    ("[kvm-unit-tests PATCH v2 1/3] arm64: one", 1, 3, 2),
    ("[PATCH 5.10/5.15 1/2] KVM: one", 1, 2, 1),
    ("[PATCH 6.1.y 1/2] KVM: one", 1, 2, 1),
    ("[PATCH [v2] 1/3] KVM: one", 1, 3, 2),
    ("[PATCH 6/5] KVM: one more", 6, 5, 1),
    ("Re: [PATCH v2 1/3] KVM: one", 1, 3, 2),
    ("[v3] KVM: two", 1, 1, 3),
    ("[PATCH net-next v2 12345/1] x", 1, 1, 2),
]


ASK_B4 = """
import b4, json, sys
read = [vars(b4.LoreSubject(text)) for text in json.load(sys.stdin)]
json.dump(read, sys.stdout)
"""


@pytest.fixture(scope="module")
def by_b4() -> dict[str, dict[str, Any]]:
    """What b4 reads of each subject. It changes the email package for all of its process."""
    texts = [row[0] for row in AS_B4]
    done = subprocess.run(
        [sys.executable, "-c", ASK_B4],
        input=json.dumps(texts), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(zip(texts, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("row", AS_B4, ids=lambda row: row[0])
def test_what_b4_reads(row: tuple[str, int, int, int], by_b4: dict[str, dict[str, Any]]) -> None:
    text, number, total, version = row
    about, theirs = parse(text), by_b4[text]
    assert (theirs["counter"], theirs["expected"], theirs["revision"]) == (number, total, version)
    counted = (0, 0) if theirs["counters_inferred"] else (number, total)
    assert (about.number[0], about.total) == counted
    assert about.version == (version, 0)
    assert about.resend == theirs["resend"] and about.reply == theirs["reply"]
    assert about.title == theirs["subject"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[PATCH v2.1 2/2] x", Subject("x", (2, 0), 2, (2, 1), branches=("v2.1",))),
        ("[PATCH 1.5/2] x", Subject("x", (1, 5), 2)),
        ("[PATCH 5.10/5.15 1.5/2] x", Subject("x", (1, 5), 2, branches=("5.10", "5.15"))),
        ("[PATCH v2,1/2] x", Subject("x", (1, 0), 2, (2, 0))),  # patchwork
        ("[PATCH1/8] x", Subject("x", (1, 0), 8)),  # patchwork
        ("[PATCH 1 of 8] x", Subject("x", (1, 0), 8)),  # Mercurial
        ("[PATCH-v3 1/8] x", Subject("x", (1, 0), 8, (3, 0))),
        ("[PATCH stable 6.1 6.6 1/2] x", Subject("x", (1, 0), 2, branches=("6.1", "6.6"))),
        ("[PATCH 5.15.y] x", Subject("x", branches=("5.15.y",))),
        ("[kvmarm] Re: [PATCH v2 1/3] x", Subject("x", (1, 0), 3, (2, 0), reply=True)),
        ("AW: Re: [PATCH] x", Subject("x", reply=True)),
        ("Re[2]: [PATCH] x", Subject("x", reply=True)),
        ("回复: [PATCH] x", Subject("x", reply=True)),
        ("Fwd: [PATCH 2/2] x", Subject("x", (2, 0), 2, reply=True)),
        ("[PATCH] re: the title has a colon", Subject("re: the title has a colon")),
        ("[PATCH] x [not a prefix]", Subject("x [not a prefix]")),
        ("[PATCH]", Subject("[PATCH]")),
        ("", Subject("")),
        ("[PATCH 99999999999/1] x", Subject("x")),
    ],
)
def test_what_else_people_write(text: str, expected: Subject) -> None:
    assert parse(text) == expected


def test_versions_in_words() -> None:
    assert [version_text(one) for one in ((1, 0), (2, 1))] == ["v1", "v2.1"]
