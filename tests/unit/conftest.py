# SPDX-License-Identifier: GPL-2.0-only
"""A kernel tree in small: real git, real make and the real cross compiler, two source files.

Its `allnoconfig` stands in for kconfig: it keeps every line of the fragments but those that the
file `dropped` names. All else goes through the same code as a kernel of the real size.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.kernel.spec import KernelSource, KernelSpec

MAKEFILE = """\
VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 0
EXTRAVERSION =

CC = $(CROSS_COMPILE)gcc
OBJECTS = $(O)/core.o $(O)/kvm.o

ifdef M
modules:
\t$(foreach c,$(wildcard $(M)/*.c),$(CC) $(KCFLAGS) -Iinclude -c -o $(c:.c=.ko) $(c);)
else
allnoconfig:
\t@grep -vxFf dropped $(KCONFIG_ALLCONFIG) > $(O)/.config
\t@echo allnoconfig >> $(O)/made

Image modules: $(O)/arch/arm64/boot/Image

$(O)/%.o: %.c include/common.h $(O)/.config
\t@echo "  CC      $<"
\t@echo $< >> $(O)/made
\t@sleep `cat slow`
\t@$(CC) $(KCFLAGS) -Iinclude -c -o $@ $<

$(O)/arch/arm64/boot/Image: $(OBJECTS)
\t@mkdir -p $(O)/include/generated $(O)/include/config $(O)/scripts
\t@mkdir -p $(O)/arch/arm64/boot $(O)/arch/arm64/include/generated
\t@echo 6.1.0 > $(O)/include/config/kernel.release
\t@touch $(O)/include/config/auto.conf $(O)/Module.symvers $(O)/System.map
\t@$(CROSS_COMPILE)ld -r -o $(O)/vmlinux $(OBJECTS)
\t@cp $(O)/vmlinux $@
endif
"""
FILES = {
    "Makefile": MAKEFILE,
    "Kbuild": "",
    "dropped": "CONFIG_LOST=y\n",
    "slow": "0\n",
    "include/common.h": "#define ATTRIBUTE 1\n",
    "scripts/tool": "",
    "core.c": '#include "common.h"\nconst char *where = __FILE__;\nint core = ATTRIBUTE;\n',
    "kvm.c": '#include "common.h"\n\n\nint kvm(void)\n{\n\treturn 0;\n}\n',
    "arch/arm64/Makefile": "",
    "arch/arm64/include/asm.h": "",
    "arch/arm64/Kconfig": 'config LOST\n\tbool "Lost"\n\tdepends on KEPT && MISSING\n',
}
IDENTITY = ("-c", "user.name=Dev", "-c", "user.email=dev@localhost")


def run_git(folder: Path, *args: str) -> str:
    """Git as the owner of a tree would run it."""
    command = ["git", "-C", str(folder), *IDENTITY, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def git() -> Callable[..., str]:
    """`git(folder, *args)` runs git and returns what it prints."""
    return run_git


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path: Path, cache: Path) -> Path:
    """A user's kernel tree with one commit."""
    folder = tmp_path / "linux"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    run_git(folder, "init", "-q", "-b", "main")
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-qm", "base")
    return folder


@pytest.fixture
def spec(tree: Path, tmp_path: Path) -> KernelSpec:
    """That tree as a kernel with one fragment."""
    (tmp_path / "kept.config").write_text("CONFIG_KEPT=y\n")
    fragments = (str(tmp_path / "kept.config"),)
    return KernelSpec(name="small", source=KernelSource(tree=str(tree)), fragments=fragments)


@pytest.fixture
def make_series(tree: Path, tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """`make_series({file: text})`: the folder of a series of one patch; the tree goes back."""
    numbers = itertools.count(1)

    def make(edits: dict[str, str]) -> Path:
        folder = tmp_path / f"series-{next(numbers)}"
        for name, text in edits.items():
            (tree / name).write_text(text)
        run_git(tree, "commit", "-qam", "kvm: change")
        run_git(tree, "format-patch", "-q", "-1", "-o", str(folder))
        run_git(tree, "reset", "-q", "--hard", "HEAD^")
        return folder

    return make
