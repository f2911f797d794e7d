# SPDX-License-Identifier: GPL-2.0-only
"""Why an option was lost: from the Kconfig files of a tree and the values that came out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import BuildError
from harness.kernel.config import fragments
from harness.kernel.config.expression import holds
from harness.kernel.config.kconfig import KconfigFiles, definitions
from harness.kernel.config.reason import Asked

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
# As of Linux 6.12: lib/Kconfig.debug, arch/Kconfig, init/Kconfig, kernel/Kconfig.hz; shortened.
TOOLS = r"""
config PAHOLE_VERSION
	int
	default $(shell,$(srctree)/scripts/pahole-version.sh $(PAHOLE))

config CC_IS_CLANG
	def_bool $(success,test "$(cc-name)" = Clang)

config DEBUG_INFO_BTF
	bool "Generate BTF type information"
	depends on !DEBUG_INFO_SPLIT && !DEBUG_INFO_REDUCED
	depends on PAHOLE_VERSION >= 122

config CFI_CLANG
	bool "Use Clang's Control Flow Integrity (CFI)"
	depends on ARCH_SUPPORTS_CFI_CLANG
	depends on $(cc-option,-fsanitize=kcfi)

config HAS_LTO_CLANG
	def_bool y
	depends on CC_IS_CLANG && LD_IS_LLD
	depends on $(success,$(NM) --help | head -n 1 | grep -qi llvm)

choice
	prompt "Link Time Optimization (LTO)"
	default LTO_NONE

config LTO_NONE
	bool "None"

config LTO_CLANG_FULL
	bool "Clang Full LTO (EXPERIMENTAL)"
	depends on HAS_LTO_CLANG

endchoice

choice
	prompt "Timer frequency"
	default HZ_250

config HZ_100
	bool "100 HZ"

config HZ_1000
	bool "1000 HZ"

endchoice

config NR_CPUS
	int "Maximum number of CPUs (2-4096)"
	range 2 4096
	default "512"

config CMDLINE
	string "Default kernel command string"

config VFIO
	tristate "VFIO"
	select IOMMU_API

config IOMMU_API
	bool

config EXTRA
	bool "Extra"

config WANTS_EXTRA
	bool "Wants extra"
	select EXTRA if NET
"""


@pytest.fixture
def files(tree: Path, git: Git) -> KconfigFiles:
    texts = {
        "Kconfig": KCONFIG,
        "lib/Kconfig.debug": TOOLS,
        "arch/Kconfig": 'if OUTER\nsource "net/Kconfig"\nendif\n',
        "arch/mips/Kconfig": 'config INET\n\tbool "Mips"\n\tdepends on MIPS\n',
        "net/Kconfig": 'menu "Far"\ndepends on INNER\nsource "net/far/Kconfig"\nendmenu\n',
        "net/far/Kconfig": 'config FAR\n\tbool "Far"\n',
    }
    for name, text in texts.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    git(tree, "add", "-A")
    return KconfigFiles(tree)


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
    [found] = [one for one in definitions(KCONFIG) if one.symbol == symbol]
    assert [" ".join(term.split()) for term in found.terms] == terms
    assert found.prompt == prompt


def test_what_a_definition_says_beside_its_dependencies() -> None:
    by_symbol = {one.symbol: one for one in definitions(TOOLS, "lib/Kconfig.debug")}
    assert by_symbol["NR_CPUS"].ranges == [("2", "4096", "y")]
    assert by_symbol["NR_CPUS"].kind == "int"
    assert by_symbol["WANTS_EXTRA"].selects == [("EXTRA", "NET")]
    assert by_symbol["HAS_LTO_CLANG"].defaults == [("y", "y")]
    choice = by_symbol["HZ_1000"].choice
    assert choice and choice.prompt == "Timer frequency" and choice.file == "lib/Kconfig.debug"
    assert TOOLS.splitlines()[choice.line - 1] == "choice"
    assert by_symbol["HZ_100"].choice is choice
    assert by_symbol["NR_CPUS"].choice is None


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
        ("$(success,test $(shell,echo (x)) = x) && OFF", False),
        ("CC_VERSION >= 50000 && OFF", False),
        ("CC_VERSION >= 120200", True),
        ("CC_VERSION < 120200", False),
        ("PAHOLE_VERSION >= 122", False),
        ("$(ld-version) >= 122", True),
        ("A &&", True),
    ],
)
def test_expressions(expression: str, true: bool) -> None:
    values = {"A": "y", "M": "m", "MODE": "fast", "SIZE": "3", "CC_VERSION": "120200",
              "PAHOLE_VERSION": "0"}  # fmt: skip
    assert holds(expression, values) is true


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
        ("FAR", "INNER OUTER", "kconfig does not tell why"),
        (
            "HZ_1000",
            "HZ_100",
            "of the choice 'Timer frequency' one member is on: "
            "CONFIG_HZ_100=y (fragment x, line 9)",
        ),
        ("HZ_100", "HZ_1000", "of the choice 'Timer frequency' one member is on: "
                              "CONFIG_HZ_1000=y, its default"),
    ],
)  # fmt: skip
def test_why_an_option_is_off(symbol: str, on: str, says: str, files: KconfigFiles) -> None:
    config = dict.fromkeys(on.split(), "y")
    places = {"HZ_100": "CONFIG_HZ_100=y (fragment x, line 9)"}
    assert Asked(files, config, places).of(symbol, "y") == says


@pytest.mark.parametrize(
    ("symbol", "value", "config", "says"),
    [
        ("EXTRA", "n", {"EXTRA": "y", "WANTS_EXTRA": "y", "NET": "y"},
         "it is y: CONFIG_WANTS_EXTRA=y (fragment f, line 3) selects it"),
        ("IOMMU_API", "n", {"IOMMU_API": "y", "VFIO": "m"}, "it is y: VFIO selects it"),
        ("IOMMU_API", "n", {"IOMMU_API": "y"},
         "it is y: it has no prompt, its value follows from other options"),
        ("INET", "n", {"INET": "y", "NET": "y"}, "it is y: its prompt needs EXPERT (n)"),
        ("EXTRA", "m", {"EXTRA": "y"}, "it is no module: it takes y or n"),
        ("9P_FS", "y", {"9P_FS": "m", "NET": "y", "INET": "y", "NET_9P": "m", "VIRTIO": "y"},
         "depends on NET_9P (m)"),
        ("NR_CPUS", "9999", {"NR_CPUS": "4096"}, "it is 4096: its range is 2 to 4096"),
        ("NR_CPUS", "many", {"NR_CPUS": "512"}, "it is 512: its range is 2 to 4096"),
        ("CMDLINE", "quiet", {"CMDLINE": '""'},
         'it is "": it is a string, which stands in quotes: "quiet"'),
    ],
)  # fmt: skip
def test_why_a_value_is_another(
    symbol: str, value: str, config: dict[str, str], says: str, files: KconfigFiles
) -> None:
    places = {"WANTS_EXTRA": "CONFIG_WANTS_EXTRA=y (fragment f, line 3)"}
    assert Asked(files, config, places).of(symbol, value) == says


@pytest.mark.parametrize(
    ("symbol", "there", "says"),
    [
        ("DEBUG_INFO_BTF", "",
         "depends on PAHOLE_VERSION (0) >= 122; pahole is missing: apt-get install pahole"),
        ("DEBUG_INFO_BTF", "pahole",
         "depends on PAHOLE_VERSION (0) >= 122; that is pahole: it may be too old"),
        ("CFI_CLANG", "", "needs $(cc-option,-fsanitize=kcfi), which gcc 12 lacks; clang is "
         "missing: apt-get install clang"),
        ("CFI_CLANG", "clang", "needs $(cc-option,-fsanitize=kcfi), which gcc 12 lacks; that is "
         "clang: build with it: --llvm"),
        ("LTO_CLANG_FULL", "clang", "depends on HAS_LTO_CLANG (n), HAS_LTO_CLANG needs "
         "CC_IS_CLANG (n) and LD_IS_LLD (n); that is clang: build with it: --llvm"),
    ],
)  # fmt: skip
def test_the_tool_that_is_missing_is_named(
    symbol: str,
    there: str,
    says: str,
    files: KconfigFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name == there else None)
    config = {"PAHOLE_VERSION": "0", "ARCH_SUPPORTS_CFI_CLANG": "y", "CC_IS_GCC": "y",
              "CC_VERSION_TEXT": '"gcc 12"'}  # fmt: skip
    assert Asked(files, config, {}).of(symbol, "y").startswith(says)


def test_a_tool_that_kconfig_does_not_ask_for_is_named_too(
    files: KconfigFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in 6.1, where pahole is only missed after all of the kernel was compiled."""
    (tmp_path / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(tmp_path))
    config = {"DEBUG_INFO_SPLIT": "y", "PAHOLE_VERSION": "122"}
    said = Asked(files, config, {}).of("DEBUG_INFO_BTF", "y")
    assert said == ("depends on !DEBUG_INFO_SPLIT (y); pahole is missing: apt-get install pahole")
    (tmp_path / "f.config").write_text("CONFIG_DEBUG_INFO_BTF=y\n")
    options = fragments.read([str(tmp_path / "f.config")], (6, 1))
    with pytest.raises(
        BuildError, match=r"DEBUG_INFO_BTF=y \(fragment .*, line 1\): pahole is miss"
    ):
        fragments.check(options, {"DEBUG_INFO_BTF": "y"}, files, "k")
    (tmp_path / "pahole").write_text("#!/bin/sh\n")
    (tmp_path / "pahole").chmod(0o755)
    fragments.check(options, {"DEBUG_INFO_BTF": "y"}, files, "k")
