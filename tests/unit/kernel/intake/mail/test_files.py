# SPDX-License-Identifier: GPL-2.0-only
"""Files, folders and packed ones: what they are, and in which order."""

from __future__ import annotations

import bz2
import email.message
import gzip
import lzma
import mailbox
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.text import clean
from harness.kernel.intake import intake
from tests.unit.kernel.intake.mail.mails import (
    BODY,
    BODY_TWO,
    DIFF,
    FIRST,
    ONE,
    THREAD,
    TWO,
    Apply,
    mail,
    refused,
    write,
)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_packed(pack: Callable[[bytes], bytes], tmp_path: Path, applied: Apply) -> None:
    assert applied(intake.take(write(tmp_path, pack(THREAD.encode())), tree=None)).lines() == [
        ONE,
        TWO,
    ]
    cut = pack(THREAD.encode())[:-20]
    assert "file is damaged or cut short" in refused(write(tmp_path, cut))


def test_what_is_no_text_is_named(tmp_path: Path, field_tree: Path) -> None:
    bundle = tmp_path / "x.bundle"
    command = ["git", "-C", str(field_tree), "bundle", "create", "-q", str(bundle), "main"]
    subprocess.run(command, check=True)
    assert "is a git bundle: git fetch it into the tree" in refused(str(bundle))
    patch = write(tmp_path, FIRST, "0001.patch")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(patch, "0001.patch")
    assert "is a tar archive: unpack it" in refused(str(tmp_path / "x.tar.gz"))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(patch, "0001.patch")
    assert "is a zip archive: unpack it" in refused(str(tmp_path / "x.zip"))
    for codec in ("utf-16", "utf-16-le", "utf-16-be"):
        said = refused(write(tmp_path, FIRST.encode(codec), f"{codec}.patch"))
        assert "is UTF-16 text: iconv -f UTF-16 -t UTF-8 it" in said
    page = "<!DOCTYPE html>\n<html><pre>" + DIFF
    assert "is a web page: save the mail itself" in refused(write(tmp_path, page, "x.html"))


def test_a_file_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernel.intake.mail.unpack.LIMIT", 1 << 20)
    assert "/dev/zero is larger than 1 MiB" in refused("/dev/zero")


@pytest.mark.parametrize("name", ["~nobody-has-this-name/x", "x" * 5000, "x\0y"])
def test_names_that_no_file_can_have(name: str) -> None:
    assert "no such file or folder" in refused(name)


def test_names_in_a_quilt_series_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("x\0y.patch", "x" * 5000):
        write(tmp_path, f"{name}\n", "series")
        assert clean(refused(str(tmp_path))).startswith(str(tmp_path))


def test_an_mh_folder_in_its_order(tmp_path: Path, applied: Apply) -> None:
    box = mailbox.MH(tmp_path / "mh")
    for number in range(1, 11):
        box.add(email.message_from_string(f"Subject: [PATCH {number}/10] x\n\n{BODY}".replace(
            "10 changed", f"10 r{number}").replace("-line 10", f"-line 10 r{number - 1}"
            if number > 1 else "-line 10")))  # fmt: skip
    taken = intake.take(str(tmp_path / "mh"), tree=None)
    assert len(taken.patches) == 10 and applied(taken).lines() == ["line 10 r10"]


def test_files_with_other_names_of_patches(tmp_path: Path, applied: Apply) -> None:
    write(tmp_path, gzip.compress(mail("[PATCH 2/2] KVM: two", BODY_TWO).encode()), "b.patch.gz")
    write(tmp_path, mail("[PATCH 1/2] KVM: one"), "a.patch.txt")
    for name in ("a.patch.orig", "a.patch~", ".a.patch", "README.txt"):
        write(tmp_path, "not a patch\n", name)
    assert applied(intake.take(str(tmp_path), tree=None)).lines() == [ONE, TWO]


def test_a_file_name_of_a_thousand_digits_and_a_strange_one(tmp_path: Path) -> None:
    write(tmp_path, "words\n", f"{'9' * 200}.patch")
    write(tmp_path, "words\n", "new\nline.patch")
    assert "no patch in it" in refused(str(tmp_path))
