# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import os
import re

import pytest

from harness.app.list import Entry, Listing, listing, render
from harness.kernel.spec import list_series

LONG = "a description of many short words that goes on and on for longer than any line has room"


def some(**groups: list[Entry]) -> Listing:
    empty: dict[str, list[Entry]] = {name: [] for name in Listing.model_fields}
    return Listing(**{**empty, **groups})


def entries(*names: str) -> list[Entry]:
    return [Entry(name=name, description=f"what {name} is") for name in names]


def test_real_names_at_80_columns() -> None:
    found = listing()
    text = render(found, width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    for entry in [*found.kernels, *found.machines, *found.suites, *found.plans]:
        assert f"\n  {entry.name}  " in text
    mutants = [name for name in list_series() if name.startswith("mutants/")]
    assert re.search(rf"\n  mutants/\* +{len(mutants)} series; --all names each\n", text)
    assert not any(name in text for name in mutants)


def test_all_names_each_series() -> None:
    text = render(listing(), every=True, width=80)
    assert all(f"\n  {name}  " in text for name in list_series())
    assert "mutants/*" not in text


def test_what_is_alone_or_no_series_is_named() -> None:
    plans = entries("plans/a.toml", "plans/b.toml")
    text = render(some(series=entries("alone/a", "plain"), plans=plans), width=80)
    assert "  alone/a  what alone/a is" in text
    assert "  plans/a.toml  what plans/a.toml is" in text


def test_descriptions_are_folded_beside_the_names() -> None:
    found = some(kernels=[Entry(name="k", description=LONG), *entries("longer")])
    lines = render(found, width=50).splitlines()
    assert lines[:3] == [
        "kernels:",
        "  k       a description of many short words that",
        "          goes on and on for longer than any line",
    ]
    assert " ".join(" ".join(lines[1:4]).split()) == f"k {LONG}"
    assert max(len(line) for line in lines) <= 50


def test_one_line_an_entry_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_terminal(_: int) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", no_terminal)
    monkeypatch.delenv("COLUMNS", raising=False)
    found = some(kernels=[Entry(name="k", description=LONG)])
    assert f"  k  {LONG}" in render(found).splitlines()
    monkeypatch.setenv("COLUMNS", "50")
    assert f"  k  {LONG}" not in render(found).splitlines()


def test_a_narrow_terminal_is_left_to_fold_for_itself() -> None:
    assert f"  k  {LONG}" in render(some(kernels=[Entry(name="k", description=LONG)]), width=15)
