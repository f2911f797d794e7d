# SPDX-License-Identifier: GPL-2.0-only
"""The private apt: which archives of the system are asked, and what is said when none can be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.base import apt
from harness.base.errors import MachineError

# As `apt-get indextargets` prints them: a third party, Debian with and without fetched lists.
TARGETS = """\
https://tools.example/apt/|stable|Example
http://deb.example/debian/|bookworm|Debian
http://deb.example/debian/|bookworm|Debian
http://deb.example/debian/|bookworm-updates|Debian
http://sec.example/debian-security/|bookworm-security|Debian
mirror+file:/etc/apt/mirrors/debian.list/|bookworm-backports|
"""


def test_only_debians_archives_are_taken() -> None:
    archives = apt.parse_archives(TARGETS)
    assert [(one.uri, one.suite) for one in archives] == [
        ("http://deb.example/debian", "bookworm"),
        ("http://deb.example/debian", "bookworm-updates"),
        ("http://sec.example/debian-security", "bookworm-security"),
        ("mirror+file:/etc/apt/mirrors/debian.list", "bookworm-backports"),
    ]


def test_an_archive_known_to_be_debians_comes_first() -> None:
    archives = apt.parse_archives("http://a/|bookworm|\nhttp://b/|bookworm|Debian\n")
    assert apt.uri_for("sid", archives) == "http://b"


def test_security_suites_are_asked_of_their_own_archive() -> None:
    archives = apt.parse_archives(TARGETS)
    assert apt.uri_for("trixie-security", archives) == "http://sec.example/debian-security"
    assert apt.uri_for("sid", archives) == "http://deb.example/debian"


@pytest.mark.parametrize("targets", ["", "http://archive.example/|noble|Ubuntu\n"])
def test_without_a_debian_archive_the_way_out_is_told(targets: str) -> None:
    with pytest.raises(MachineError, match=r"no Debian archive .* use tree:PATH"):
        apt.uri_for("sid", apt.parse_archives(targets))


def fake_tools(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An apt-get that runs `script` and a dpkg that knows its architecture, instead of the real."""
    for name, text in (("apt-get", script), ("dpkg", "echo amd64")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(apt, "KEYRING", folder / "apt-get")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("E: Failed to fetch http://x  Could not resolve 'x'", "Could not resolve"),
        ("E: write (28: No space left on device)", "no space left"),
        ("", "exit status 100"),
    ],
)
def test_what_apt_complains_about_is_one_line(
    says: str, message: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = "echo 'http://deb.example/debian/|bookworm|Debian'"
    script = f'case "$1" in indextargets) {targets};; *) echo "{says}" >&2; exit 100;; esac'
    fake_tools(tmp_path, monkeypatch, script)
    with pytest.raises(MachineError) as error:
        apt.download(["x"], tmp_path / "out", ["bookworm"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_without_apt_the_way_out_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tools(tmp_path, monkeypatch, "")
    (tmp_path / "apt-get").unlink()
    monkeypatch.setattr(apt, "KEYRING", tmp_path / "dpkg")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="apt-get is missing"):
        apt.download(["x"], tmp_path / "out", ["bookworm"])


def test_a_missing_keyring_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "KEYRING", tmp_path / "none.gpg")
    with pytest.raises(MachineError, match="install debian-archive-keyring"):
        apt.candidate("x", ["bookworm"])


def test_lists_are_fetched_once_a_day_and_anew_when_the_mirror_changes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def updates(uri: str, *, refresh: bool = False) -> int:
        script = f"""
        case "$*" in
        indextargets*) echo '{uri}|bookworm|Debian';;
        *update) echo >> {tmp_path}/updates;;
        *) echo "'{uri}/x' x_1%3a2+b1_all.deb 1 SHA256:00";;
        esac"""
        fake_tools(tmp_path, monkeypatch, script)
        found = apt.candidate("x", ["bookworm"], refresh=refresh)
        assert (found.version, found.file_name) == ("1:2+b1", "x_1%3a2+b1_all.deb")
        return len((tmp_path / "updates").read_text())

    assert updates("http://a") == 1
    assert updates("http://a") == 1
    assert updates("http://b") == 2
    assert updates("http://b", refresh=True) == 3
    stamp = cache / "apt/amd64/bookworm.stamp"
    old = stamp.stat().st_mtime - apt.REFRESH_SECONDS - 1
    os.utime(stamp, (old, old))
    assert updates("http://b") == 4
