# SPDX-License-Identifier: GPL-2.0-only
"""The commands that kbuild keeps beside an object."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evaluate.patch.source.objects import command_of

WAS = "/root/.cache/s2eval/sources/linux-6.1/tree"
# As kbuild of 6.1 writes it, with fewer options.
COMMAND = (
    "cmd_kvm/mmu.o := ccache gcc -Wp,-MMD,kvm/.mmu.o.d -I{0}/include -I./include "
    "-include {0}/include/linux/kconfig.h -fmacro-prefix-map={0}/= -DARCH='\"armv8.5-a\"' "
    "-c -o kvm/mmu.o {0}/kvm/mmu.c ; ./tools/objtool kvm/mmu.o\n"
)


@pytest.mark.parametrize("folder", ["out-gcc", "out-gcc-lockdep"])
def test_the_tree_is_where_the_cache_is_now(tmp_path: Path, folder: str) -> None:
    made = tmp_path / "moved to/sources/linux-6.1" / folder / "kvm/mmu.o"
    made.parent.mkdir(parents=True)
    made.with_name(".mmu.o.cmd").write_text(COMMAND.format(WAS))
    tree = tmp_path / "moved to/sources/linux-6.1/tree"
    words = command_of(made)
    assert words[-1] == f"{tree}/kvm/mmu.c" and f"-I{tree}/include" in words
    assert f"-fmacro-prefix-map={tree}/=" in words and '-DARCH="armv8.5-a"' in words
    assert not [word for word in words if WAS in word or "objtool" in word]


def test_an_object_without_a_command(tmp_path: Path) -> None:
    assert command_of(tmp_path / "mmu.o") == []
    (tmp_path / ".mmu.o.cmd").write_text(COMMAND.format(WAS))
    assert command_of(tmp_path / "mmu.o")[-1] == f"{WAS}/kvm/mmu.c"
