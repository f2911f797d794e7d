# SPDX-License-Identifier: GPL-2.0-only
"""Static programs of a suite, made with the real cross compiler."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest

from harness.base.errors import BuildError
from harness.hosts.l1.userland import guest_program
from harness.kernel.toolchain import cross_prefix

PT_LOAD, PT_INTERP = 1, 3  # elf(5)
SOURCE = "#include <s2eval/one.h>\nint main(void) { return ONE; }\n"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite beside the shared headers, and a cache of its own."""
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    shared = tmp_path / "include" / "s2eval"
    shared.mkdir(parents=True)
    (shared / "one.h").write_text("#define ONE 1\n")
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "probe.c").write_text(SOURCE)
    return folder


def test_a_program_is_static_arm64_and_made_once(suite: Path) -> None:
    made = guest_program(suite, "probe")
    data = made.read_bytes()
    assert data[:4] == b"\x7fELF" and data[18:20] == b"\xb7\x00"  # EM_AARCH64
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = {struct.unpack_from("<I", data, start + i * size)[0] for i in range(count)}
    assert PT_LOAD in kinds and PT_INTERP not in kinds
    before = made.stat().st_mtime_ns
    assert guest_program(suite, "probe") == made and made.stat().st_mtime_ns == before


def test_an_edit_of_it_or_of_a_shared_header_makes_another(suite: Path) -> None:
    made = guest_program(suite, "probe")
    (suite.parent / "include" / "s2eval" / "one.h").write_text("#define ONE 2\n")
    other = guest_program(suite, "probe")
    (suite / "probe.c").write_text(SOURCE + "/* edited */\n")
    assert len({made, other, guest_program(suite, "probe")}) == 3


def test_an_edit_of_its_own_header_makes_another(suite: Path) -> None:
    (suite / "own.h").write_text("#define OWN 1\n")
    (suite / "probe.c").write_text('#include "own.h"\nint main(void) { return OWN; }\n')
    made = guest_program(suite, "probe")
    (suite / "own.h").write_text("#define OWN 2\n")
    assert guest_program(suite, "probe").read_bytes() != made.read_bytes()


def test_another_version_of_the_compiler_makes_another(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = guest_program(suite, "probe")
    compiler = shutil.which(f"{cross_prefix()}gcc")
    newer = tmp_path / "bin" / f"{cross_prefix()}gcc"
    newer.parent.mkdir()
    newer.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec echo gcc 99\nexec {compiler} "$@"\n')
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{newer.parent}:{os.environ['PATH']}")
    assert guest_program(suite, "probe") != made


def test_a_compile_error_is_the_first_one_with_its_place(suite: Path) -> None:
    (suite / "probe.c").write_text("int main(void)\n{\n\treturn none;\n\treturn other;\n}\n")
    with pytest.raises(BuildError, match=r"the guest's probe: .*probe\.c:3:\d+: error: .*none"):
        guest_program(suite, "probe")
    assert not list((suite.parent / "cache" / "programs").glob("probe-*"))


def test_a_program_without_a_source_is_named(suite: Path) -> None:
    with pytest.raises(BuildError, match=r"other\.c: no such file"):
        guest_program(suite, "other")
