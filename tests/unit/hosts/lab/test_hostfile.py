# SPDX-License-Identifier: GPL-2.0-only
"""A host's file: what it may say, where it is looked for, how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.hosts.lab.hostfile import LabDevice, list_hosts, load, parse_address

LEAST = 'address = "root@grace.example"\n'


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "config/s2eval/hosts"
    folder.mkdir(parents=True)
    return folder


def test_the_least_is_an_address(private: Path) -> None:
    (private / "grace.toml").write_text(LEAST)
    host = load("grace")
    assert (host.name, host.to.user, host.to.host, host.to.port) == (
        "grace",
        "root",
        "grace.example",
        0,
    )
    assert (host.host_key, host.boot.method, host.device) == ("strict", "kexec-initramfs", None)


def test_the_users_own_comes_before_the_projects(private: Path, tmp_path: Path) -> None:
    shared = tmp_path / "data/s2eval/qemu-configs/hosts"
    shared.mkdir(parents=True)
    for name in ("grace", "altra"):
        (shared / f"{name}.toml").write_text('address = "shared"\n')
    (private / "grace.toml").write_text(LEAST)
    hosts = list_hosts()
    assert hosts["grace"] == private / "grace.toml"
    assert hosts["altra"] == shared / "altra.toml"
    assert load("altra").address == "shared"


def test_examples_of_the_project_are_right() -> None:
    examples = [name for name in list_hosts() if name.startswith("example-")]
    assert len(examples) >= 2
    for name in examples:
        assert load(name).description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: address: field required"),
        (LEAST + 'adress = "x"\n', ":2: unknown key 'adress': did you mean 'address'?"),
        ('address = "a b"\n', ":1: address: 'a b' is not [USER@]HOST[:PORT]"),
        (LEAST + 'jump = "me@gate:99999"\n', ":2: jump: 'me@gate:99999' is not"),
        (LEAST + '[device]\nbdf = "1:0.0"\n', ":3: device.bdf: string should match pattern"),
        (LEAST + '[device]\nbdf = "0000:01:00.0"\nbar = 6\n', ":4: device.bar: input"),
        (LEAST + '[boot]\nmethod = "pxe"\n', ":3: boot.method: input should be"),
        (LEAST + '[power]\nreset = "x"\n', ":3: unknown key 'power.reset': known: cycle"),
        (LEAST + "[limits]\nconnect = 0\n", ":3: limits.connect: input should be greater than 0"),
        (LEAST + 'folder = "relative"\n', ":2: folder: string should match"),
        ('address = "x\n', "(at line 1, column 13)"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(private: Path, text: str, message: str) -> None:
    (private / "grace.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        load("grace")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_host_is_told_with_the_nearest(private: Path) -> None:
    (private / "grace.toml").write_text(LEAST)
    with pytest.raises(UsageError, match="unknown host 'grcae': did you mean 'grace'"):
        load("grcae")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("grace", ("", "grace", 0)),
        ("root@10.0.0.7:2222", ("root", "10.0.0.7", 2222)),
        ("[fe80::1%eth0]:22", ("", "fe80::1%eth0", 22)),
    ],
)
def test_an_address(text: str, parts: tuple[str, str, int]) -> None:
    address = parse_address(text)
    assert (address.user, address.host, address.port) == parts


@pytest.mark.parametrize(
    ("writable", "offset", "size", "allowed"),
    [
        ("nothing", 0, 1, False),
        ("all", 1 << 20, 8, True),
        ("0x0-0xfff,0x2000-0x2fff", 0, 0x1000, True),
        ("0x0-0xfff,0x2000-0x2fff", 0xFF8, 16, False),
        ("0x0-0xfff, 0x2000-0x2fff", 0x2FF8, 8, True),
    ],
)
def test_what_may_be_written(writable: str, offset: int, size: int, allowed: bool) -> None:
    device = LabDevice(bdf="0000:01:00.0", writable=writable)
    assert device.may_write(offset, size) is allowed


def test_others_than_its_owners_are_refused(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (private / "grace.toml").write_text(LEAST + 'owners = ["alice"]\n')
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    load("grace").check_owner()
    monkeypatch.setattr("getpass.getuser", lambda: "bob")
    with pytest.raises(UsageError, match="grace is not for bob: owners are alice"):
        load("grace").check_owner()
