# SPDX-License-Identifier: GPL-2.0-only
"""Which QEMU is taken; scripts that print a version stand in for QEMU, the .debs are real ones."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base import apt
from harness.base.errors import MachineError, UsageError
from harness.hosts.qemu import binary
from harness.hosts.qemu.binary import find_qemu

OLD = "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)"
NEW = "10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)"

MakeQemu = Callable[[Path, str], Path]


@pytest.fixture
def make_qemu(tmp_path: Path) -> MakeQemu:
    """Writes a program that answers --version; each start leaves a line in `asked`."""

    def make(folder: Path, version: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "qemu-system-aarch64"
        program.write_text(
            f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\necho "QEMU emulator version {version}"\n'
        )
        program.chmod(0o755)
        return program

    return make


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own cache, `system` alone before the tools on PATH, and Debian 12."""
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("S2EVAL_QEMU", raising=False)
    (tmp_path / "system").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/system:{_tools(tmp_path)}")
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)


def _tools(tmp_path: Path) -> Path:
    """A folder with the programs the scripts and dpkg-deb need, and no QEMU."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("dpkg-deb", "tar", "sh", "echo", "rm", "xz", "gzip", "zstd"):
        if (real := Path("/usr/bin", name)).exists():
            (folder / name).symlink_to(real)
    return folder


@pytest.fixture
def archive(
    tmp_path: Path, make_qemu: MakeQemu, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[list[str], list[str]]]:
    """A Debian archive with QEMU 10.0.2, as real .debs; what was asked for is in the list."""
    asked: list[tuple[list[str], list[str]]] = []
    content = tmp_path / "content"
    make_qemu(content / "usr/bin", NEW)
    (content / "usr/share/qemu").mkdir(parents=True)
    (content / "DEBIAN").mkdir()
    fields = {
        "Package": "q",
        "Version": "1",
        "Architecture": "all",
        "Maintainer": "n <n@localhost>",
    }
    control = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (content / "DEBIAN/control").write_text(f"{control}Description: test\n")
    deb = tmp_path / "qemu.deb"
    subprocess.run(["dpkg-deb", "--build", content, deb], check=True, capture_output=True)

    def download(packages: list[str], dest: Path, suites: list[str]) -> list[Path]:
        asked.append((packages, suites))
        dest.mkdir(parents=True)
        (dest / deb.name).write_bytes(deb.read_bytes())
        return [dest / deb.name]

    monkeypatch.setattr(apt, "download", download)
    return asked


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "asked").read_text().splitlines())


def test_the_systems_qemu_is_taken_when_new_enough(tmp_path: Path, make_qemu: MakeQemu) -> None:
    program = make_qemu(tmp_path / "system", "10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)")
    found = find_qemu()
    assert found.path == program
    assert found.args == ()
    assert found.version == "10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)"
    assert found.version_info == (10, 0, 13)
    assert found.number == "10.0.13"


def test_an_old_systems_qemu_gives_way_to_the_backport(
    tmp_path: Path, make_qemu: MakeQemu, archive: list[tuple[list[str], list[str]]]
) -> None:
    make_qemu(tmp_path / "system", OLD)
    found = find_qemu()
    folder = tmp_path / "cache/qemu" / f"bookworm-backports-{platform.machine()}"
    assert found.path == folder / "usr/bin/qemu-system-aarch64"
    assert found.args == ("-L", str(folder / "usr/share/qemu"))
    assert found.version_info == (10, 0, 2)
    assert archive == [(binary.BACKPORT_PACKAGES, ["bookworm-backports"])]
    assert not list((tmp_path / "cache/qemu").glob("*.partial"))
    assert not (folder / "debs").exists()
    assert find_qemu() == found
    assert len(archive) == 1, "fetched once"


def test_what_a_killed_process_left_is_not_used(
    tmp_path: Path, make_qemu: MakeQemu, archive: list[tuple[list[str], list[str]]]
) -> None:
    make_qemu(tmp_path / "system", OLD)
    torn = tmp_path / "cache/qemu" / f"bookworm-backports-{platform.machine()}.partial"
    make_qemu(torn / "usr/bin", "torn")
    (torn / "debs").mkdir()
    (torn / "debs" / "half.deb").write_text("half")
    assert find_qemu().version == NEW
    assert len(archive) == 1
    assert not torn.exists()


def test_a_download_that_fails_leaves_nothing(
    tmp_path: Path, make_qemu: MakeQemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_qemu(tmp_path / "system", OLD)

    def download(packages: list[str], dest: Path, suites: list[str]) -> list[Path]:
        dest.mkdir(parents=True)
        (dest / "half.deb").write_text(f"{packages} {suites}")
        raise MachineError("apt-get: no network")

    monkeypatch.setattr(apt, "download", download)
    with pytest.raises(MachineError, match=r"QEMU 7\.2\.22 .* no network; set S2EVAL_QEMU"):
        find_qemu()
    assert [path.name for path in (tmp_path / "cache/qemu").iterdir() if path.is_dir()] == []


def test_another_distribution_is_told_to_bring_a_qemu(
    tmp_path: Path, make_qemu: MakeQemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_qemu(tmp_path / "system", "8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)")
    release = {"ID": "ubuntu", "VERSION_CODENAME": "noble", "PRETTY_NAME": "Ubuntu 24.04"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    with pytest.raises(MachineError, match=r"8\.2\.2 .*Ubuntu 24\.04 has no .*set S2EVAL_QEMU"):
        find_qemu()


def test_the_backport_may_be_too_old_as_well(
    tmp_path: Path, make_qemu: MakeQemu, archive: list[tuple[list[str], list[str]]]
) -> None:
    make_qemu(tmp_path / "system", OLD)
    with pytest.raises(MachineError, match=r"QEMU 10\.0\.2 is too old: 10\.1 is needed"):
        find_qemu(minimum=(10, 1))
    assert archive


def test_without_a_qemu_the_package_is_named() -> None:
    with pytest.raises(MachineError, match=r"is missing: .*apt-get install .*qemu-system-arm"):
        find_qemu()


def test_a_missing_library_is_named_with_the_package(tmp_path: Path) -> None:
    program = tmp_path / "system/qemu-system-aarch64"
    program.write_text(
        f'#!/bin/sh\necho "{program}: error while loading shared libraries: libfdt.so.1: cannot '
        'open shared object file: No such file or directory" >&2\nexit 127\n'
    )
    program.chmod(0o755)
    with pytest.raises(MachineError, match=r"needs libfdt\.so\.1, .*qemu-system-arm"):
        find_qemu()


def test_s2eval_qemu_wins(
    tmp_path: Path, make_qemu: MakeQemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_qemu(tmp_path / "system", "10.0.13")
    mine = make_qemu(tmp_path / "mine/bin", "11.0.50 (v11.0.0-1-gabcdef)")
    (tmp_path / "mine/share/qemu").mkdir(parents=True)
    monkeypatch.setenv("S2EVAL_QEMU", str(mine))
    found = find_qemu()
    assert found.path == mine
    assert found.version_info == (11, 0, 50)
    assert found.args == ("-L", str(tmp_path / "mine/share/qemu"))


def test_s2eval_qemu_may_be_a_name_on_path(
    tmp_path: Path, make_qemu: MakeQemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_qemu(tmp_path / "system", "10.0.13")
    monkeypatch.setenv("S2EVAL_QEMU", "qemu-system-aarch64")
    assert find_qemu().path == program


def test_s2eval_qemu_that_is_too_old_is_bad_input(
    tmp_path: Path, make_qemu: MakeQemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_qemu(tmp_path / "system", "10.0.13")
    monkeypatch.setenv("S2EVAL_QEMU", str(make_qemu(tmp_path / "mine", OLD)))
    with pytest.raises(UsageError, match=r"S2EVAL_QEMU=.*mine.*7\.2\.22 is too old; .*10\.0"):
        find_qemu()


@pytest.mark.parametrize("name", ["/no/such/qemu", "no-such-qemu", "."])
def test_s2eval_qemu_that_is_not_there_is_bad_input(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EVAL_QEMU", name)
    with pytest.raises(UsageError, match=r"no such program; name a .* or unset it"):
        find_qemu()


def test_s2eval_qemu_that_is_no_qemu_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = tmp_path / "impostor"
    impostor.write_text("#!/bin/sh\necho impostor version 12.0\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("S2EVAL_QEMU", str(impostor))
    with pytest.raises(UsageError, match=r"is no qemu-system-aarch64"):
        find_qemu()


def test_the_version_is_asked_once_for_each_file(tmp_path: Path, make_qemu: MakeQemu) -> None:
    make_qemu(tmp_path / "system", "10.0.13")
    assert find_qemu() == find_qemu()
    assert starts(tmp_path) == 1
    make_qemu(tmp_path / "system", "10.2.0")
    assert find_qemu().version_info == (10, 2, 0)
    assert starts(tmp_path) == 2


@pytest.mark.parametrize("content", ["", "[]", "{torn", '{"PATH": 1}', '{"PATH": {"stamp": 0}}'])
def test_a_damaged_cache_is_written_anew(content: str, tmp_path: Path, make_qemu: MakeQemu) -> None:
    program = make_qemu(tmp_path / "system", "10.0.13")
    known = tmp_path / "cache/qemu/versions.json"
    known.parent.mkdir(parents=True)
    known.write_text(content.replace("PATH", str(program)))
    assert find_qemu().version_info == (10, 0, 13)
    assert find_qemu().version_info == (10, 0, 13)
    assert starts(tmp_path) == 1
