# SPDX-License-Identifier: GPL-2.0-only
"""The addresses under which people find a mail: the message id is taken from each."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.base.paths import ROOT
from harness.kernel.intake import intake
from harness.kernel.intake.mail import b4

ID = "20230907181459.18145-1-ankita@nvidia.com"
FIELD = ROOT / "tests/data/field/samples"


@pytest.mark.parametrize(
    "given",
    [
        ID,
        f"<{ID}>",
        f"id:{ID}",
        f"mid:{ID}",
        f"Message-ID: <{ID}>",
        f"https://lore.kernel.org/kvmarm/{ID}/",
        f"https://lore.kernel.org/kvmarm/{ID}/T/#u",
        f"https://lore.kernel.org/all/{ID}/raw",
        f"https://lore.kernel.org/all/{ID}/t.mbox.gz",
        f"https://lore.kernel.org/r/{ID}",
        f"<https://lore.kernel.org/r/{ID}>",
        f"Link: https://lore.kernel.org/r/{ID}",
        f"lore.kernel.org/kvmarm/{ID}",
        f"lore.kernel.org/kvmarm/{ID.replace('@', '%40')}/",
        f"http://lkml.kernel.org/r/{ID}",
        f"lkml.kernel.org/r/{ID}",
        f"https://patch.msgid.link/{ID}",
        f"patch.msgid.link/{ID}",
        f"https://msgid.link/{ID}",
        f"https://patchwork.kernel.org/project/linux-arm-kernel/patch/{ID}/",
        f"patchwork.kernel.org/project/kvm/cover/{ID}/",
        f"http://patchwork.ozlabs.org/project/linux-pci/patch/{ID}/mbox/",
        f"https://LORE.kernel.org/r/{ID}?x=y",
    ],
)
def test_where_a_message_id_is(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert b4.message_of(given) == ID
    asked = []

    def fetch(message_id: str, folder: Path) -> Path:
        asked.append(message_id)
        return FIELD / "cover-thread.mbx"

    monkeypatch.setattr(b4, "fetch", fetch)
    assert len(intake.take(given, tree=None).patches) == 2
    assert asked == [ID]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        # b4 asks another public-inbox at its own address.
        (f"https://inbox.example.org/list/{ID}/", f"https://inbox.example.org/list/{ID}/"),
        ("CAG+x=y_z$1@mail.gmail.com", "CAG+x=y_z$1@mail.gmail.com"),
        ("x@[192.0.2.1]", "x@[192.0.2.1]"),
        ("HEAD@{1}", None),
        ("v6.1..topic", None),
        ("some/file@version", None),
        ("lore.kernel.org.patch", None),
        ("https://[", None),
        ("@", None),
        ("", None),
    ],
)
def test_what_else_is_asked_for_or_is_none(given: str, asked: str | None) -> None:
    try:
        assert b4.message_of(given) == asked
    except UsageError as error:
        assert asked is None and "without a message id" in str(error)


def test_two_dots_in_a_message_id_are_no_range(
    field_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(b4, "fetch", lambda *_: FIELD / "cover-thread.mbx")
    assert len(intake.take("2023..1-d@localhost", tree=field_tree).patches) == 2
    with pytest.raises(UsageError, match="no branch, tag or commit none"):
        intake.take("main..none", tree=field_tree)


@pytest.mark.parametrize(
    "given",
    [
        "https://lore.kernel.org/kvmarm/",
        "https://patchwork.kernel.org/project/kvm/list/?series=123",
        "patchwork.kernel.org/series/123/mbox/",
        "https://example.org/fix.patch",
    ],
)
def test_an_address_without_a_message_id(given: str) -> None:
    with pytest.raises(UsageError, match="an address without a message id: give that of one"):
        intake.take(given, tree=None)
