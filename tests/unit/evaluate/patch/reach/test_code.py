# SPDX-License-Identifier: GPL-2.0-only
"""The code of each line, by objects that the cross compiler really makes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.process import run_quiet
from harness.evaluate.patch.reach.code import CodeFinder
from harness.evaluate.patch.reach.objects import including_objects, is_nvhe, nearest, own_objects
from harness.kernel.toolchain import cross_prefix

SOURCE = """\
#include "half.h"
int state;
static int helper(int a)
{
	return half(a) + state;
}
#ifdef NOT
int gone(void) { return 1; }
#endif
int outer(int a)
{
	state = a;
	return helper(a) * 3;
}
int last(int a)
{
	return a ^ state;
}
__attribute__((section(".init.text"))) int begin(void)
{
	return state - 7;
}
"""
HEADER = """\
#define TWICE(a) ((a) * 2)
static inline int half(int a)
{
	return a / 2;
}
"""
MAP = """\
ffff800008000000 T _text
ffff800008004000 T begin
ffff800008001000 T outer
ffff800008002000 D state
"""


class Tree:
    """A tree and its O= folder with one object."""

    def __init__(self, folder: Path) -> None:
        self.work, self.out, self.scratch = (folder / name for name in ("tree", "out", "scratch"))
        (self.work / "a").mkdir(parents=True)
        (self.out / "a").mkdir(parents=True)
        self.scratch.mkdir()
        (self.work / "a/x.c").write_text(SOURCE)
        (self.work / "a/half.h").write_text(HEADER)
        self.make("a/x.o")

    def make(self, name: str) -> Path:
        """Compile a/x.c as kbuild does, with the command and the files in `.NAME.o.cmd`."""
        made = self.out / name
        source = self.work / "a/x.c"
        command = [f"{cross_prefix()}gcc", f"-Wp,-MMD,{made}.d", "-O2", "-ffreestanding",
                   f"-ffile-prefix-map={self.work}/=", "-c", "-o", name, str(source)]  # fmt: skip
        done = run_quiet(command, Deadline(60), cwd=self.out)
        assert not done.returncode, done.stderr
        kept = (
            f"cmd_{name} := {shlex.join(command)}\n\ndeps_{name} := \\\n  {self.work}/a/half.h \\\n"
        )
        made.with_name(f".{made.name}.cmd").write_text(kept)
        return made

    def finder(self, system_map: str = MAP) -> CodeFinder:
        return CodeFinder(self.out, self.work, self.scratch, system_map)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_code_lies_where_the_kernel_has_it(tree: Tree) -> None:
    finder, made = tree.finder(), tree.out / "a/x.o"
    assert finder.is_linked(made)
    finder.add(made)
    lines = finder.code.addresses
    assert min(lines["a/x.c", 21]) >= 0xFFFF800008004000
    begin = min(lines["a/x.c", 12])
    assert 0xFFFF800008001000 <= begin < 0xFFFF800008001100
    # What was inlined: the line itself, and the calls that it stands for.
    assert lines["a/half.h", 4] <= lines["a/x.c", 5] <= lines["a/x.c", 13]
    assert lines["a/half.h", 4]
    assert ("a/half.h", 1) not in lines
    assert ("a/x.c", 8) not in lines
    assert finder.address("_text") == 0xFFFF800008000000
    assert not finder.code.failed


def test_where_most_symbols_agree_the_section_is(tree: Tree) -> None:
    made = tree.out / "a/x.o"
    listed = run_quiet([f"{cross_prefix()}nm", str(made)], Deadline(60)).stdout.splitlines()
    offsets = {name: int(at, 16) for at, _, name in map(str.split, listed)}
    base = 0xFFFF800008001000
    # Another object, at a lower address, has an `outer` as well.
    text = f"{base - 0x800:x} t outer\n{base + offsets['outer']:x} T outer\n"
    finder = tree.finder(f"{text}{base + offsets['last']:x} T last\n")
    assert finder.is_linked(made)
    finder.add(made)
    assert min(finder.code.addresses["a/x.c", 12]) == base + offsets["outer"]


def test_lines_that_an_ifdef_leaves_out(tree: Tree) -> None:
    active = tree.finder().active_lines(tree.out / "a/x.o", "a/x.c")
    assert {5, 12, 13} <= active
    assert not {7, 8, 9} & active
    assert {2, 4} <= tree.finder().active_lines(tree.out / "a/x.o", "a/half.h")


def test_an_object_that_another_configuration_left_is_not_linked(tree: Tree) -> None:
    finder = tree.finder("ffff800008000000 T _text\n")
    made = tree.out / "a/x.o"
    assert not finder.is_linked(made)
    finder.add(made)
    assert not finder.code.addresses


def test_an_object_that_does_not_compile_any_more(tree: Tree) -> None:
    finder, made = tree.finder(), tree.out / "a/x.o"
    assert finder.is_linked(made)
    (tree.work / "a/x.c").write_text("nonsense")
    finder.add(made)
    assert finder.code.failed == [made]


def test_the_hypervisor_has_names_of_its_own(tree: Tree) -> None:
    made = tree.make("a/x.nvhe.o")
    assert is_nvhe(made)
    prefixed = MAP.replace("begin", "__kvm_nvhe_begin").replace("outer", "__kvm_nvhe_outer")
    assert tree.finder(prefixed.replace("state", "__kvm_nvhe_state")).is_linked(made)
    assert not tree.finder().is_linked(made)


def test_objects_of_a_source_and_of_a_header(tree: Tree) -> None:
    one, other = tree.out / "a/x.o", tree.make("a/x.nvhe.o")
    assert own_objects(tree.out, "a/x.c") == [one, other]
    assert own_objects(tree.out, "a/half.h") == []
    assert own_objects(tree.out, "b/y.c") == []
    assert including_objects(tree.out, tree.work, "a/half.h") == [other, one]
    assert including_objects(tree.out, tree.work, "a/hal.h") == []


def test_the_likeliest_object_comes_first(tree: Tree) -> None:
    (tree.work / "a/y.c").write_text("int y(void) { return 1; }\n")
    objects = [tree.out / "a/y.o", tree.out / "a/x.o"]
    assert nearest(objects, tree.out, tree.work, "return half(a);") == objects[::-1]
