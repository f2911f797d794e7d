# SPDX-License-Identifier: GPL-2.0-only
"""L1's root: what of Debian's packages is in it, found by the real cross tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.base import apt
from harness.base.errors import MachineError
from harness.hosts.l1 import userland
from harness.hosts.l1.stub_library import _symbols, make_stub
from harness.hosts.l1.userland import busybox, l1_root
from harness.kernel.toolchain import cross_prefix

LIBRARIES = "usr/lib/aarch64-linux-gnu"
CONTENTS = """
suites = ["bookworm"]
packages = ["some"]
programs = ["bin/busybox", "usr/bin/vmm"]
applets = "ls cat"
stubs = "libspare.so.5"
[called]
start = "return a + b + c;"
"""
VMM = """
int *one(void), spare(void), start(void);
void _start(void) { one(); start(); spare(); }
"""


def _compile(name: Path, source: str, *flags: str) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    code = ["-x", "c", "-", "-x", "none"]
    command = [f"{cross_prefix()}gcc", "-nostdlib", "-o", str(name), *code, *flags]
    subprocess.run(command, input=source, text=True, check=True)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the packages hold: a program, a library in a folder of its own that needs another."""
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    contents = tmp_path / "l1.toml"
    contents.write_text(CONTENTS)
    monkeypatch.setattr(userland, "L1_CONTENTS", contents)
    root = tmp_path / "package"
    folder = root / LIBRARIES
    _compile(folder / "libtwo.so.2", "int two;", "-shared", "-Wl,-soname,libtwo.so.2")
    _compile(
        folder / "private/libone.so.1", "extern int two; int *one(void) { return &two; }",
        "-shared", "-fPIC", "-Wl,-soname,libone.so.1", str(folder / "libtwo.so.2"),
    )  # fmt: skip
    _compile(folder / "libnobody.so.3", "int three;", "-shared")
    _compile(folder / "libnone.so.4", "int none(void) { return 4; }", "-shared", "-fPIC")
    script = tmp_path / "spare.map"
    script.write_text("SPARE_5 { global: spare; start; other; };")
    _compile(
        folder / "libspare.so.5",
        "int none(void); int spare(void) { return none(); } int start(void) { return 5; } "
        "int other(void) { return 6; }",
        "-shared", "-fPIC", "-Wl,-soname,libspare.so.5", f"-Wl,--version-script={script}",
        str(folder / "libnone.so.4"),
    )  # fmt: skip
    interpreter = "-Wl,--dynamic-linker,/lib/ld-linux-aarch64.so.1"
    _compile(
        root / "usr/bin/vmm", VMM, str(folder / "libspare.so.5"),
        str(folder / "private/libone.so.1"), interpreter, f"-Wl,-rpath-link,{folder}",
    )  # fmt: skip
    _compile(root / "lib/ld-2.36.so", "int loader;", "-shared")
    (root / "lib/ld-linux-aarch64.so.1").symlink_to("ld-2.36.so")
    _compile(root / "bin/busybox", "void _start(void) {}", "-static")
    monkeypatch.setattr(apt, "download_closure", lambda *_: [Path("some.deb")])
    monkeypatch.setattr(apt, "unpack", lambda _deb, to: root.rename(to))
    return root


def _names(archive: Path) -> set[str]:
    listed = subprocess.run(
        ["cpio", "-t", "--quiet", "-F", str(archive)], capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


def test_the_root_has_what_its_programs_load_and_nothing_more(package: Path) -> None:
    root = l1_root()
    names = _names(root)
    assert {"init", "usr/bin/vmm", "bin/sh", "bin/busybox", "s2eval/bin/ls", "proc"} <= names
    private = f"{LIBRARIES}/private/libone.so.1"
    assert {"lib/ld-linux-aarch64.so.1", private, f"{LIBRARIES}/libtwo.so.2"} <= names
    assert not any("libnobody" in name or "libnone" in name for name in names)
    assert busybox().read_bytes()[:4] == b"\x7fELF"


def test_it_is_made_once(package: Path) -> None:
    made = l1_root()
    assert not package.exists(), "the packages were taken"
    assert l1_root() == made


def test_a_library_that_no_package_has_is_named(package: Path) -> None:
    (package / LIBRARIES / "libtwo.so.2").unlink()
    with pytest.raises(MachineError, match=r"no package has libtwo\.so\.2 of .*libone\.so\.1"):
        l1_root()
    left = {path.name for path in (package.parent / "cache/userland").iterdir()}
    assert left == {"debs", "lock"}


def test_a_stub_has_what_the_program_calls_with_its_versions(package: Path) -> None:
    made = package.parent / "libspare.so.5"
    make_stub(
        package / LIBRARIES / made.name, package / "usr/bin/vmm", {"start": "return a;"}, made
    )
    symbols = {s.name: s for s in _symbols(made) if not s.is_undefined and s.is_code}
    assert {name: s.version for name, s in symbols.items()} == {
        "spare": "SPARE_5",
        "start": "SPARE_5",
    }
    assert {s.name for s in _symbols(made) if s.is_undefined} >= {"dprintf", "abort"}
    assert b"s2eval: %s of libspare.so.5 is called" in made.read_bytes()
    assert not (made.parent / "libspare.so.5.map").exists()
    code = subprocess.run(
        [f"{cross_prefix()}objdump", "-d", str(made)], capture_output=True, text=True, check=True
    ).stdout
    start = code.split("<start@@SPARE_5>:")[1].split("\n\n")[0]
    assert "ret" in start and "bl" not in start, "a function that is called does what it is told"


def test_data_has_no_stub(package: Path) -> None:
    folder = package / LIBRARIES
    _compile(folder / "libdata.so.6", "int datum = 1;", "-shared", "-Wl,-soname,libdata.so.6")
    program = package / "usr/bin/user"
    source = "extern int datum; int _start(void) { return datum; }"
    _compile(program, source, "-fPIE", "-pie", str(folder / "libdata.so.6"))
    with pytest.raises(MachineError, match=r"user uses data of libdata\.so\.6: datum"):
        make_stub(folder / "libdata.so.6", program, {}, package.parent / "made")
