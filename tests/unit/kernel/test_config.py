# SPDX-License-Identifier: GPL-2.0-only
"""Fragments: their syntax, and the error for a line that kconfig dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import BuildError, UsageError
from harness.base.paths import FRAGMENTS
from harness.kernel import config, kconfig

Git = Callable[..., str]
KCONFIG = r"""
menu "Networking"
	depends on NET

config INET
	bool "TCP/IP" if EXPERT
	default y

if INET
config 9P_FS
	tristate "Plan 9" # a comment
	depends on NET_9P && \
		(VIRTIO || XEN)
	depends on !BROKEN
	help
		It depends on nothing that this text says.

		depends on FICTION
		if you say so
endif

config HIDDEN
	bool
	select OTHER

config MODERN
	bool "Modern"
	depends on MODE = "fast" && SIZE != 3 && $(cc-option,-mfoo) && CC_VERSION >= 5
endmenu

config AFTER
	bool
	prompt "After" if SHOWN
"""


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_lines_are_read_with_their_place(tmp_path: Path) -> None:
    text = '# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x # y"\n\nCONFIG_D=20\n'
    name = write(tmp_path, "one.config", text)
    options = config.read([name], (6, 1))
    assert [str(option) for option in options.values()] == [
        "CONFIG_A=y", "# CONFIG_B is not set", 'CONFIG_C="x # y"', "CONFIG_D=20",
    ]  # fmt: skip
    assert (options["D"].fragment, options["D"].line) == (name, 6)


@pytest.mark.parametrize(
    ("version", "symbols"),
    [((6, 1), {"OLD"}), ((6, 2), {"NEW", "OLD"}), ((6, 12), {"NEW", "OLD"}), ((7, 0), {"NEW"})],
)
def test_marks_choose_by_version(
    version: tuple[int, int], symbols: set[str], tmp_path: Path
) -> None:
    name = write(tmp_path, "m.config", "CONFIG_NEW=y # since 6.2\nCONFIG_OLD=y # until 6.12\n")
    assert set(config.read([name], version)) == symbols


def test_a_later_fragment_overrides(tmp_path: Path) -> None:
    first = write(tmp_path, "a.config", "CONFIG_A=y\nCONFIG_B=y\n")
    second = write(tmp_path, "b.config", "# CONFIG_A is not set\n")
    options = config.read([first, second], (6, 1))
    assert (options["A"].value, options["A"].fragment) == ("n", second)


@pytest.mark.parametrize("line", ["CONFG_A=y", "A=y", "CONFIG_A y"])
def test_a_line_that_is_none_is_refused_with_its_place(line: str, tmp_path: Path) -> None:
    name = write(tmp_path, "bad.config", f"CONFIG_X=y\n{line}\n")
    with pytest.raises(UsageError, match=rf"bad\.config:2: not a config line: {line}"):
        config.read([name], (6, 1))


@pytest.mark.parametrize("version", [(6, 1), (6, 12), (7, 2)])
def test_the_projects_fragments_can_be_read(version: tuple[int, int]) -> None:
    names = list(FRAGMENTS.files())
    options = config.read(names, version)
    assert {"KVM", "VFIO_PCI", "ARM_SMMU_V3", "DEVTMPFS", "MODULES"} <= set(options)
    assert ("VFIO_CONTAINER" in options) == (version >= (6, 2))


def test_a_lost_line_is_an_error_with_option_fragment_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write(tmp_path, "f.config", "CONFIG_NET=y\nCONFIG_9P_FS=y\nCONFIG_INET=y\n")
    options = config.read([name], (6, 1))
    monkeypatch.setattr(kconfig, "why", lambda work, symbol, values: f"why {symbol}")
    config.check(options, {"NET": "y", "9P_FS": "y", "INET": "y"}, tmp_path, "k")
    with pytest.raises(BuildError) as error:
        config.check(options, {"NET": "y"}, tmp_path, "k")
    assert str(error.value) == (
        f"k: CONFIG_9P_FS=y (fragment {name}, line 2) did not survive: why 9P_FS (and 1 more: INET)"
    )


def test_a_value_that_was_changed_is_an_error(tmp_path: Path) -> None:
    name = write(tmp_path, "f.config", "# CONFIG_A is not set\nCONFIG_N=20\n")
    options = config.read([name], (6, 1))
    config.check(options, {"N": "20"}, tmp_path, "k")
    with pytest.raises(BuildError, match=r"# CONFIG_A is not set .*it is y: another option"):
        config.check(options, {"A": "y", "N": "20"}, tmp_path, "k")
    with pytest.raises(BuildError, match=r"CONFIG_N=20 .*it is 10"):
        config.check(options, {"N": "10"}, tmp_path, "k")


@pytest.mark.parametrize(
    ("symbol", "terms", "prompt"),
    [
        ("INET", ["NET"], "EXPERT"),
        ("9P_FS", ["NET", "INET", "NET_9P", "(VIRTIO || XEN)", "!BROKEN"], "y"),
        ("HIDDEN", ["NET"], None),
        ("AFTER", [], "SHOWN"),
    ],
)
def test_definitions(symbol: str, terms: list[str], prompt: str | None) -> None:
    [(found, condition)] = kconfig.definitions(KCONFIG, symbol)
    assert [" ".join(term.split()) for term in found] == terms
    assert condition == prompt


@pytest.mark.parametrize(
    ("expression", "true"),
    [
        ("A", True),
        ("OFF", False),
        ("M", True),
        ("!A", False),
        ("!M", True),
        ("A && OFF || A", True),
        ("A && (OFF || OFF)", False),
        ("!(A && OFF)", True),
        ("M = m", True),
        ("OFF = n", True),
        ('MODE = "fast"', True),
        ("SIZE != 3", False),
        ("$(success,true) && A", True),
        ("CC_VERSION >= 50000 && OFF", False),
        ("A &&", True),
    ],
)
def test_expressions(expression: str, true: bool) -> None:
    values = {"A": "y", "M": "m", "MODE": "fast", "SIZE": "3", "CC_VERSION": "120200"}
    assert kconfig.holds(expression, values) is true


@pytest.mark.parametrize(
    ("symbol", "on", "says"),
    [
        ("9P_FS", "NET INET NET_9P", "depends on (VIRTIO (n) || XEN (n))"),
        ("9P_FS", "NET VIRTIO", "depends on INET (n) and NET_9P (n)"),
        ("INET", "NET", "its prompt needs EXPERT (n)"),
        ("HIDDEN", "NET", "it has no prompt: only other options select it"),
        ("NONE", "", "this kernel has no such symbol"),
        ("FAR", "OUTER", "depends on INNER (n)"),
        ("FAR", "INNER", "depends on OUTER (n)"),
        ("FAR", "INNER OUTER", "kconfig does not tell why (a choice or another fragment?)"),
    ],
)
def test_why(symbol: str, on: str, says: str, tree: Path, git: Git) -> None:
    files = {
        "Kconfig": KCONFIG,
        "arch/Kconfig": 'if OUTER\nsource "net/Kconfig"\nendif\n',
        "net/Kconfig": 'menu "Far"\ndepends on INNER\nsource "net/far/Kconfig"\nendmenu\n',
        "net/far/Kconfig": 'config FAR\n\tbool "Far"\n',
    }
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    git(tree, "add", "-A")
    assert kconfig.why(tree, symbol, dict.fromkeys(on.split(), "y")) == says
