# SPDX-License-Identifier: GPL-2.0-only
"""Addresses of a real kernel's functions, wherever the kernel runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.kernel.addresses.symbols import BANNER, Symbols
from tests.data_files import DATA

LINES = json.loads((DATA / "hangs" / "before-init-flat.json").read_text())["map"]
RAM = 0x4000_0000
INIT = 0xFFFF80000802F9E0  # kvm_arch_init
VECTORS = 0xFFFF800008010800
PHYSICAL = RAM + 0x20_0000 + 0x2F9E0  # 0x8000000 below is _text


@pytest.fixture
def symbols() -> Symbols:
    return Symbols("\n".join(LINES))


def test_a_linked_address(symbols: Symbols) -> None:
    assert str(symbols.find(INIT + 0x28)) == "kvm_arch_init+0x28/0xf20"
    assert str(symbols.find(INIT)) == "kvm_arch_init+0x0/0xf20"
    assert symbols.find(0xFFFF800007FFFFFF) is None  # before the first
    assert symbols.find(0xFFFFFFFFFFFFFFFF) is None  # behind the last, which has no end
    assert symbols.find(PHYSICAL) is None


def test_a_physical_address_is_the_same_whatever_maps_it(symbols: Symbols) -> None:
    assert str(symbols.at_physical(PHYSICAL + 0x28, RAM)) == "kvm_arch_init+0x28/0xf20"
    assert symbols.at_physical(RAM, RAM) is None
    assert symbols.physical("kvm_arch_init", RAM) == PHYSICAL
    assert symbols.physical("no_such_function", RAM) is None


def test_an_image_that_lies_where_its_header_says() -> None:
    symbols = Symbols("\n".join(LINES), text_offset=0x8_0000)
    assert symbols.physical("_text", RAM) == RAM + 0x8_0000


@pytest.mark.parametrize("moved", [0, 0x2_0000, 0x3A1_2345_0000])
def test_a_virtual_address_of_a_kernel_that_was_moved(symbols: Symbols, moved: int) -> None:
    found = symbols.at_virtual(INIT + 0x28 + moved, VECTORS + moved)
    assert str(found) == "kvm_arch_init+0x28/0xf20"


@pytest.mark.parametrize("vbar", [0xFFFFFBFFFDDFF800, VECTORS + 0x1000])
def test_vectors_that_are_a_copy_say_nothing(symbols: Symbols, vbar: int) -> None:
    """Mitigations and page-table isolation give a kernel vectors of their own."""
    assert str(symbols.at_virtual(INIT, vbar)) == "kvm_arch_init+0x0/0xf20"


def test_symbols_are_beside_an_image(tmp_path: Path) -> None:
    image = tmp_path / "Image"
    assert Symbols.beside(image) is None
    image.write_bytes(b"MZ\0\0\0\0\0\0" + (0).to_bytes(8, "little") + b"\0" * 48)
    (tmp_path / "System.map").write_text("\n".join(LINES))
    found = Symbols.beside(tmp_path / "." / "Image")
    assert found and found.physical("_text", RAM) == RAM + (2 << 20)
    assert BANNER in found.named
