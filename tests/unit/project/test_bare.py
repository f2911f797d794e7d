# SPDX-License-Identifier: GPL-2.0-only
"""tests/bare, but for the roots themselves: what it takes from this system, measures and says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.base.errors import MachineError
from harness.base.paths import ROOT
from tests.bare import measure, said, system
from tests.bare.__main__ import _parser, _wanted, main
from tests.bare.mounts import Shared
from tests.bare.root import Bare, builder, check_folder
from tests.bare.space import Command, Ended, SpaceError, run

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")


def run_here(tmp_path: Path, script: str, *, terminal: bool = False, seconds: float = 60) -> Ended:
    """Run a shell script in namespaces of its own on this system; its output is in `log`."""
    return run(
        Command(
            "/",
            ["/bin/sh", "-c", script],
            "/",
            {"PATH": "/usr/bin:/bin"},
            str(tmp_path / "log"),
            terminal=terminal,
            seconds=seconds,
        )
    )


def alive(mark: str) -> list[str]:
    """The processes of this system that have `mark` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(path.parent.name)
    return found


def test_apt_keeps_the_way_to_the_archive_and_nothing_else() -> None:
    dump = (
        'APT::Architecture "amd64";\n'
        'Acquire::http::Proxy "http://proxy:3142/";\n'
        'Acquire::https::CaInfo "/etc/ssl/mine.pem";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::Languages "none";\n'
        'DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";\n'
    )
    kept = system.apt_configuration(dump).splitlines()
    assert [line.split()[0] for line in kept] == [
        "Acquire::http::Proxy",
        "Acquire::https::CaInfo",
        "Acquire::Check-Valid-Until",
    ]


def test_pip_keeps_the_way_to_its_index_without_folders_of_this_system() -> None:
    listed = (
        ":env:.default-timeout='180'\n"
        "global.cert='/etc/ssl/certs/ca-certificates.crt'\n"
        "global.extra-index-url='file:///opt/pypi/simple https://packages.example/simple'\n"
        "global.find-links='/opt/wheels'\n"
        "global.index-url='file:///opt/pypi/simple'\n"
        "user.index-url='https://user:it\\'s@pypi.example/simple'\n"
    )
    assert system.pip_configuration(listed) == (
        "[global]\n"
        "default-timeout = 180\n"
        "cert = /etc/ssl/certs/ca-certificates.crt\n"
        "extra-index-url = https://packages.example/simple\n"
        "index-url = https://user:it's@pypi.example/simple\n"
    )


def test_sources_of_another_release_are_those_of_this_one_but_for_the_suites() -> None:
    ours, other = system.apt_sources("bookworm"), system.apt_sources("trixie")
    assert "Suites: trixie trixie-updates\n" in other
    assert other == ours.replace("bookworm", "trixie")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("  flex missing: kernel build\n  bison 1.0 is too old: kernel build", ["flex", "bison"]),
        ("/bin/sh: 1: bc: not found\nmake[1]: *** [Kbuild:9] Error 127", ["bc"]),
        ("./x.sh: line 3: cpio: command not found", ["cpio"]),
        (
            "  flex missing: kernel build\nbootstrap: installing flex\n"
            "bootstrap: still not right after installing:\n  perl missing: checkpatch\n",
            ["perl"],
        ),
        ("bootstrap: installing fex\nE: Unable to locate package fex", ["fex"]),
        ("make: flex: No such file or directory", ["flex"]),
        ("s2eval: \x1b[31mdpkg-deb is missing\x1b[0m: Debian's packages need it", ["dpkg-deb"]),
        ("extract-cert.c:21:10: fatal error: openssl/bio.h: No such file", ["openssl/bio.h"]),
        ("/usr/bin/ld: cannot find -lelf: No such file or directory", ["elf"]),
        ('failed to find romfile "vgabios.bin"', ["vgabios.bin"]),
        ("  flex  missing  kernel build: parsers", ["flex"]),
        ("FAILED tests/unit/test_x.py - assert 1 == 2\r\n", []),
    ],
)
def test_a_missing_tool_is_named(text: str, names: list[str]) -> None:
    assert said.missing(text) == names


def test_the_tail_is_without_colours_and_a_redrawn_line_is_many() -> None:
    assert said.tail("one\ntwo\n\x1b[1mthree\x1b[0m\r\r\nfour 1%\rfour 2%", 3) == (
        "three\nfour 1%\nfour 2%"
    )


def make_root(folder: Path) -> Path:
    """A root with two packages, one of them installed, in dpkg's own files."""
    info = folder / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (folder / "var/lib/dpkg/status").write_text(
        "Package: bc\nStatus: install ok installed\nInstalled-Size: 239\nArchitecture: amd64\n\n"
        "Package: dc\nStatus: deinstall ok config-files\nArchitecture: amd64\n"
    )
    (info / "bc.list").write_text("/.\n/bin\n/bin/bc\n/usr/share/doc\n/usr/share/doc/bc\n")
    for name in ("usr/bin/bc", "usr/share/doc/bc/copyright"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def test_packages_are_counted_with_their_size(tmp_path: Path) -> None:
    assert measure.installed(make_root(tmp_path)) == {"bc:amd64": 239}


def test_files_that_no_package_owns_are_found(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    log = root / "var/log/dpkg.log"
    log.parent.mkdir()
    # In /bin by the package's list, in /usr/bin on a disk where the two are merged.
    before = measure.files(root) - {"/usr/bin/bc"}

    def write(*names: str) -> None:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("")

    write("usr/share/icons.cache", "etc/modules", "opt/early", "srv/early")  # by scripts
    log.write_text("")
    late = time.time() + 0.05
    while time.time() < late:
        time.sleep(0.01)
    os.utime(log, (late - 0.02, late - 0.02))
    write("opt/run-1/a", "opt/run-1/b/c", "usr/bin/stray", "root/.cache/x", "root/.profile")
    write("var/cache/apt/archives/x.deb", "var/lib/apt/extended_states")
    known = before | {"/opt", "/root", "/etc", "/srv", "/var/lib/apt"}
    assert measure.strays(root, known, (root / "root/.cache",)) == [
        "/opt/early",
        "/opt/run-1 (3 below)",
        "/root/.profile",
        "/srv/early",
        "/usr/bin/stray",
    ]


def test_disk_counts_a_file_with_two_names_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/c").write_bytes(b"x" * 100_000)
    one = measure.disk(tmp_path, without=(tmp_path / "out",))
    assert 100_000 <= one < 120_000
    assert 200_000 <= measure.disk(tmp_path) < 240_000


def test_all_combinations_unless_told_otherwise() -> None:
    every = _wanted(_parser().parse_args([]))
    assert len(every.combinations) == 8
    assert every.verbs == ["run", "test"]
    one = _wanted(
        _parser().parse_args(
            ["--release", "13", "--user=root", "--no-terminal", "--verb=test", "--", "-e", "unit"]
        )
    )
    assert [str(c) for c in one.combinations] == ["Debian 13, root, no terminal"]
    assert (one.verbs, one.arguments) == (["test"], ["-e", "unit"])


def test_only_root_can(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("tests.bare.__main__.end_in_good_order", lambda: None)
    assert main([]) == 125
    assert capsys.readouterr().err == (
        "tests.bare: only root can make a Debian root and its namespaces: use sudo\n"
    )


def test_what_makes_roots_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MachineError, match="apt-get install mmdebstrap"):
        builder()


def test_a_folder_without_programs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_folder(tmp_path)
    noexec = os.statvfs_result((4096, 4096, 1, 1, 1, 1, 1, 1, os.ST_NOEXEC | os.ST_NODEV, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: noexec)
    with pytest.raises(MachineError, match="is on a noexec mount: a root must be elsewhere"):
        check_folder(tmp_path)


def test_packages_are_shared_but_not_the_folder_that_apt_locks(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = (Bare(tmp_path / name, "12", False, cache) for name in ("first", "second"))
    fetched = first.outside("/var/cache/apt/archives")
    with first.packages():
        (fetched / "bc_1_amd64.deb").write_text("bc")
        (fetched / "lock").write_text("")
    lent = second.outside("/var/cache/apt/archives")
    with second.packages():
        assert [path.name for path in lent.iterdir()] == ["bc_1_amd64.deb"]
        (lent / "dc_1_amd64.deb").write_text("dc")
        (cache / "debs/dc_1_amd64.deb").write_text("of another root, at the same time")
    assert {path.name for path in (cache / "debs").iterdir()} == {p.name for p in lent.iterdir()}


@as_root
def test_a_command_is_told_by_its_status_and_what_it_left(tmp_path: Path) -> None:
    script = "echo said; echo $$; sleep 4711 & mount -t tmpfs none /mnt; exit 3"
    ended = run_here(tmp_path, script)
    assert ended.status == 3
    assert ended.processes == ["sleep 4711"]
    assert ended.mounts == ["/mnt"]
    said_, pid = (tmp_path / "log").read_text().split()
    assert said_ == "said"
    assert int(pid) < 10  # of its own namespace
    assert alive("4711") == []
    assert not os.path.ismount("/mnt")


@as_root
def test_a_terminal_is_one_and_without_it_there_is_none(tmp_path: Path) -> None:
    script = "test -t 0 && test -t 1 && : </dev/tty && stty size"
    assert run_here(tmp_path, script, terminal=True).status == 0
    assert (tmp_path / "log").read_bytes() == b"24 80\r\n"
    assert run_here(tmp_path, "test -t 0 || test -t 1 || : </dev/tty").status != 0


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A root that has the programs of this system and nothing else of it."""
    root = tmp_path / "root"
    for name in ("usr", "proc", "sys", "dev", "cache"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        if Path("/", name).exists():
            (root / name).symlink_to(f"usr/{name}")
    return root


@as_root
def test_a_root_is_all_there_is_and_cannot_change_this_machine(tiny: Path, tmp_path: Path) -> None:
    script = (
        "hostname; ls -d /etc /home /dev/kvm; echo x > /dev/null && echo x > /dev/shm/y; "
        "cat /proc/1/comm > /dev/null && echo 1 > /proc/sys/vm/drop_caches; mkdir /sys/z; true"
    )
    ended = run(
        Command(
            str(tiny),
            ["/bin/sh", "-c", script],
            "/",
            {"PATH": "/bin:/usr/bin", "LC_ALL": "C"},
            str(tmp_path / "log"),
            shared=[Shared("/usr", "/usr")],
        )
    )
    assert (ended.status, ended.processes, ended.mounts) == (0, [], [])
    assert ended.files == ["/dev/shm/y"]  # noqa: S108
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "bare"
    assert sum("No such file" in line for line in lines[1:4]) == 3
    assert sum("Read-only file system" in line for line in lines[4:]) == 2
    assert len(lines) == 6
    assert list((tiny / "usr").iterdir()) == []


@as_root
def test_an_ordinary_user_owns_a_shared_folder_that_is_roots_outside(
    tiny: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "shared"
    cache.mkdir()
    (cache / "old").write_text("")
    ended = run(
        Command(
            str(tiny),
            ["/bin/sh", "-c", "id -u; stat -c %u /cache /cache/old && : > /cache/new; : > /mine"],
            "/",
            {"PATH": "/bin:/usr/bin"},
            str(tmp_path / "log"),
            uid=1000,
            shared=[Shared("/usr", "/usr"), Shared(str(cache), "/cache", 1000)],
        )
    )
    assert ended.status == 2  # / is root's
    assert (tmp_path / "log").read_text().splitlines()[:3] == ["1000", "1000", "1000"]
    assert (cache / "new").stat().st_uid == 0


@as_root
def test_no_signal_is_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_here(tmp_path, "grep SigIgn /proc/self/status").status == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert int((tmp_path / "log").read_text().split()[1], 16) == 0


@as_root
def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    assert run_here(tmp_path, "sleep 4712", seconds=0.5).status is None
    assert alive("4712") == []


@as_root
def test_a_folder_that_is_no_root_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"mount .*: No such file or directory"):
        run(Command(str(tmp_path / "none"), ["/bin/sh"], "/", {}, str(tmp_path / "log")))


@as_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_runs_on_when_the_caller_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "from pathlib import Path\n"
        "from harness.base.signals import end_in_good_order\n"
        "from tests.unit.project.test_bare import run_here\n"
        "end_in_good_order()\n"
        f"run_here(Path({str(tmp_path)!r}), 'sleep 4713 & sleep 4713', seconds=600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL) as it:
        until = time.monotonic() + 120
        while len(alive("4713")) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        it.send_signal(number)
        assert time.monotonic() < until
    while alive("4713") and time.monotonic() < until:
        time.sleep(0.02)
    assert alive("4713") == []
