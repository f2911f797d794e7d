# SPDX-License-Identifier: GPL-2.0-only
"""The state of each added line, from its code and the records of cells."""

from __future__ import annotations

import dataclasses

from harness.evaluate.patch.reach.states import AddedFile, Witness, states_of
from harness.evaluate.patch.verdict.lines import LineState, PatchReach
from harness.hosts.coverage.record import Executed

TEXT = """\
/* A comment. */
#define ONE 1
	if (a &&
		b)
		return call(c,
			d);
#ifdef CONFIG_NOT
	e = 1;
#endif
	int f;
	g = 2;
"""
EVERY = frozenset(range(1, 12))
FILE = AddedFile(
    path="arch/arm64/kvm/mmu.c",
    text=TEXT,
    added=EVERY,
    built=True,
    # The code of the condition is in its second line, that of the call in its first.
    addresses={4: frozenset({0x100, 0x104}), 5: frozenset({0x200}), 11: frozenset({0x300})},
    active=lambda: EVERY - {8},
)


def executed(*offsets: int) -> bytes:
    return bytes(offset in offsets for offset in range(0, 0x400, 4))


def states(*witnesses: Witness, file: AddedFile = FILE, guests: bool = False) -> str:
    """Return the first letter of each line's state; X for what is not built."""
    letters = {LineState.RAN: "r", LineState.NEVER: "n", LineState.NO_CODE: "-",
               LineState.NOT_BUILT: "X"}  # fmt: skip
    return "".join(letters[one.state] for one in states_of(file, witnesses, guests=guests))


def test_the_lines_of_a_statement_count_together() -> None:
    witness = Witness("m/s", [Executed(executed(0x104), executed())])
    assert states(witness) == "--rrnn-X--n"
    assert [line.where for line in states_of(FILE, [witness])][2:5] == [["m/s"], ["m/s"], []]


def test_any_boot_of_any_cell_counts_and_is_named() -> None:
    one = Witness("m/s", [Executed(executed(), b""), Executed(executed(0x200), b"")])
    other = Witness("n/s", [Executed(executed(0x200, 0x300), b"")])
    assert states(one, other) == "--nnrr-X--r"
    assert states_of(FILE, [one, other])[4].where == ["m/s", "n/s"]


def test_what_only_the_guest_ran_counts_when_asked_for() -> None:
    witness = Witness("m/s", [Executed(executed(0x104), executed(0x200))])
    assert states(witness) == "--rrnn-X--n"
    assert states(witness, guests=True) == "--rrrr-X--n"
    assert states_of(FILE, [witness], guests=True)[4].where == ["m/s (guest)"]


def test_a_file_that_is_not_built_has_no_line_that_is() -> None:
    file = dataclasses.replace(FILE, built=False)
    assert states(Witness("m/s", [Executed(executed(0x104), b"")]), file=file) == "X" * 11


def test_without_a_preprocessor_code_is_only_missing() -> None:
    file = dataclasses.replace(FILE, active=frozenset)
    assert states(file=file) == "--nnnn----n"


def test_lines_of_other_files_stand_for_themselves() -> None:
    file = dataclasses.replace(FILE, path="arch/arm64/kvm/hyp/entry.S")
    assert states(Witness("m/s", [Executed(executed(0x200), b"")]), file=file) == "---nr-----n"


def test_the_account_of_them() -> None:
    witness = Witness("m/s", [Executed(executed(0x104), b"")])
    reach = PatchReach.of(states_of(FILE, [witness]))
    assert (reach.added, reach.ran, len(reach.lines)) == (11, 2, 11)
    assert reach.summary == (
        "2 of 11 added lines ran, 5 have no code; never: mmu.c:5-6, mmu.c:11; not built: mmu.c:8"
    )
