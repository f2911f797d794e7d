# SPDX-License-Identifier: GPL-2.0-only
"""Fragments: their syntax, choices, and the error for a line that kconfig dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import BuildError, UsageError
from harness.base.paths import FRAGMENTS
from harness.kernel.config import fragments
from harness.kernel.config.kconfig import KconfigFiles
from harness.kernel.config.reason import Asked

Git = Callable[..., str]
CHOICES = """
choice
	prompt "Timer frequency"
	default HZ_250

config HZ_100
	bool "100 HZ"

config HZ_250
	bool "250 HZ"

config HZ_1000
	bool "1000 HZ"

endchoice

config HZ
	int
	default 100 if HZ_100

choice
	prompt "Page size"

config ARM64_4K_PAGES
	bool "4KB"

config ARM64_64K_PAGES
	bool "64KB"

endchoice
"""


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.fixture
def files(tree: Path, git: Git) -> KconfigFiles:
    """A tree whose Kconfig has two choices; one of another architecture has HZ_1000 alone."""
    (tree / "Kconfig").write_text(CHOICES)
    (tree / "arch/mips").mkdir()
    (tree / "arch/mips/Kconfig").write_text(
        'choice\nconfig HZ_1000\n\tbool "x"\nconfig ARM64_4K_PAGES\n\tbool "y"\nendchoice\n'
    )
    git(tree, "add", "-A")
    return KconfigFiles(tree)


def test_lines_are_read_with_their_place(tmp_path: Path) -> None:
    text = '# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x # y"\n\nCONFIG_D=20\n'
    name = write(tmp_path, "one.config", text)
    options = fragments.read([name], (6, 1))
    assert [str(option) for option in options.values()] == [
        "CONFIG_A=y", "# CONFIG_B is not set", 'CONFIG_C="x # y"', "CONFIG_D=20",
    ]  # fmt: skip
    assert (options["D"].fragment, options["D"].line) == (name, 6)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("CONFIG_A=y # words", "CONFIG_A=y"),
        ("CONFIG_A=y\t#words", "CONFIG_A=y"),
        ("CONFIG_A=y # until we know more", "CONFIG_A=y"),
        ("CONFIG_A=y # since 6.1, for the tests", "CONFIG_A=y"),
        ("CONFIG_A=y # since v6.1", "CONFIG_A=y"),
        ("CONFIG_A=20 # CONFIG_B is not set", "CONFIG_A=20"),
        ('CONFIG_A="one \\" # two" # three', 'CONFIG_A="one \\" # two"'),
        ("# CONFIG_A is not set # but why", "# CONFIG_A is not set"),
        ("CONFIG_A=y # caf\udce9", "CONFIG_A=y"),
        ("   # only words", None),
        ("CONFIG_A=y # since 6.2", None),
        ("CONFIG_A=y # until 6.0: it went", None),
    ],
)
def test_a_comment_behind_a_value_is_one(line: str, read: str | None, tmp_path: Path) -> None:
    path = tmp_path / "c.config"
    path.write_text(f"{line}\r\n", errors="surrogateescape")
    options = fragments.read([str(path)], (6, 1))
    assert [str(option) for option in options.values()] == ([read] if read else [])


@pytest.mark.parametrize(
    ("version", "symbols"),
    [((6, 1), {"OLD"}), ((6, 2), {"NEW", "OLD"}), ((6, 12), {"NEW", "OLD"}), ((7, 0), {"NEW"})],
)
def test_marks_choose_by_version(
    version: tuple[int, int], symbols: set[str], tmp_path: Path
) -> None:
    name = write(tmp_path, "m.config", "CONFIG_NEW=y # since 6.2\nCONFIG_OLD=y # until 6.12\n")
    assert set(fragments.read([name], version)) == symbols


def test_a_later_fragment_overrides(tmp_path: Path) -> None:
    first = write(tmp_path, "a.config", "CONFIG_A=y\nCONFIG_B=y\n")
    second = write(tmp_path, "b.config", "# CONFIG_A is not set\n")
    options = fragments.read([first, second], (6, 1))
    assert (options["A"].value, options["A"].fragment) == ("n", second)


@pytest.mark.parametrize(
    "line",
    ["CONFG_A=y", "A=y", "CONFIG_A y", "CONFIG_A=", "CONFIG_A=y z", "CONFIG_A=y # since 6.2.1",
     'CONFIG_A="x', "CONFIG_A=y # since 6"],
)  # fmt: skip
def test_a_line_that_is_none_is_refused_with_its_place(line: str, tmp_path: Path) -> None:
    name = write(tmp_path, "bad.config", f"CONFIG_X=y\n{line}\n")
    with pytest.raises(UsageError, match=rf"bad\.config:2: not a config line: {line}"):
        fragments.read([name], (6, 1))


def test_a_value_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.config").write_bytes(b'CONFIG_A="caf\xe9"\n')
    with pytest.raises(UsageError, match=r"b\.config:1: not a config line"):
        fragments.read([str(tmp_path / "b.config")], (6, 1))


@pytest.mark.parametrize("version", [(6, 1), (6, 12), (7, 2)])
def test_the_projects_fragments_can_be_read(version: tuple[int, int]) -> None:
    names = list(FRAGMENTS.files())
    options = fragments.read(names, version)
    assert {"KVM", "VFIO_PCI", "ARM_SMMU_V3", "DEVTMPFS", "MODULES"} <= set(options)
    assert ("VFIO_CONTAINER" in options) == (version >= (6, 2))


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        (["CONFIG_HZ_100=y", "CONFIG_HZ_1000=y"], ["CONFIG_HZ_1000=y"]),
        (["CONFIG_HZ_100=y\nCONFIG_HZ_1000=y"], ["CONFIG_HZ_1000=y"]),
        # Back again: the line that comes last wins, not the symbol that was named last.
        (["CONFIG_HZ_100=y", "CONFIG_HZ_1000=y", "CONFIG_HZ_100=y"], ["CONFIG_HZ_100=y"]),
        # A member that is off stays off, and the other choice is another matter.
        (
            ["CONFIG_ARM64_4K_PAGES=y\nCONFIG_HZ_100=y", "# CONFIG_HZ_250 is not set",
             "CONFIG_HZ_1000=y"],
            ["CONFIG_ARM64_4K_PAGES=y", "# CONFIG_HZ_250 is not set", "CONFIG_HZ_1000=y"],
        ),
    ],
)  # fmt: skip
def test_of_a_choice_the_later_line_wins(
    texts: list[str], left: list[str], files: KconfigFiles, tmp_path: Path
) -> None:
    names = [write(tmp_path, f"{n}.config", f"{text}\n") for n, text in enumerate(texts)]
    options = fragments.settled(fragments.read(names, (6, 1)), files)
    assert [str(option) for option in options.values()] == left


def test_a_lost_line_is_an_error_with_option_fragment_and_reason(
    tmp_path: Path, files: KconfigFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write(tmp_path, "f.config", "CONFIG_NET=y\nCONFIG_9P_FS=y\nCONFIG_INET=y\n")
    options = fragments.read([name], (6, 1))
    monkeypatch.setattr(Asked, "of", lambda self, symbol, value: f"why {symbol}")
    fragments.check(options, {"NET": "y", "9P_FS": "y", "INET": "y"}, files, "k")
    with pytest.raises(BuildError) as error:
        fragments.check(options, {"NET": "y"}, files, "k")
    assert str(error.value) == (
        f"k: CONFIG_9P_FS=y (fragment {name}, line 2) did not survive: why 9P_FS (and 1 more: INET)"
    )


def test_a_number_is_the_same_however_it_is_written(tmp_path: Path, files: KconfigFiles) -> None:
    options = fragments.read([write(tmp_path, "f.config", "CONFIG_N=0x0F\nCONFIG_M=07\n")], (6, 1))
    fragments.check(options, {"N": "0xf", "M": "7"}, files, "k")
    with pytest.raises(BuildError, match="CONFIG_N=0x0F"):
        fragments.check(options, {"N": "0xe", "M": "7"}, files, "k")
