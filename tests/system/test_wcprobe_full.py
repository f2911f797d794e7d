# SPDX-License-Identifier: GPL-2.0-only
"""The probes as a whole: every mapping and accessor, real damage, exact counts, many guests."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.results.records import VM_KILLED, Cell, Observation, Status
from tests.system.commands import KERNEL, S2Eval, make_suite
from tests.system.conftest import Finished

PATCHED = "debian-6.1+stage2-normal-nc"
DEVICE = ("ioremap", "ioremap_np")
NORMAL = ("pci_iomap_wc", "memremap_wc", "ioremap_cache", "ioremap_wc")
MAPPINGS = DEVICE + NORMAL
# What the host calls each damage of guest-tests/wcprobe/check.c. A store that never arrived leaves
# what stood there before.
KINDS = {"lost": "stale", "doubled": "doubled", "torn": "torn", "misplaced": "misplaced"}


def paths(cell: Cell) -> dict[str, Observation]:
    """By the path below the suite."""
    prefix = f"{cell.suite.name}."
    return {o.path.removeprefix(prefix): o for o in cell.observations}


def accessors(cell: Cell, mapping: str) -> dict[str, Observation]:
    """The tests of accessors of a mapping, and what the host saw of them."""
    known = ("writel", "iowrite64_copy")
    found = {}
    for path, item in paths(cell).items():
        place, _, rest = path.partition(".")
        family, _, name = rest.partition(".")
        if place == mapping and (family == "accessors" or family in known):
            found[name if family == "accessors" else rest] = item
    return found


def test_every_accessor_works_on_every_mapping(quickstart: Finished) -> None:
    cell = quickstart.s2eval.cell(PATCHED)
    first = accessors(cell, MAPPINGS[0])
    tests = {name for name in first if not name.endswith(".host")}
    assert {"writeb", "writeq_relaxed", "__raw_readw", "memset_io", "memcpy_fromio"} <= tests
    assert {"iowrite32_copy", "stp", "ldp_q", "writel", "iowrite64_copy"} <= tests
    stores = {name.removesuffix(".host") for name in first if name.endswith(".host")}
    assert stores == {
        n for n in tests if n.startswith(("write", "__raw_write", "iowrite", "st"))
    } | {
        "memcpy_toio",
        "memset_io",
    }
    for mapping in MAPPINGS:
        found = accessors(cell, mapping)
        assert found.keys() == first.keys()
        assert {o.status for o in found.values()} == {Status.PASS}


def test_every_mapping_is_audited(quickstart: Finished) -> None:
    cell = quickstart.s2eval.cell(PATCHED)
    seen = {o.path: o for o in cell.observations}
    for mapping in MAPPINGS:
        assert seen[f"audit.{mapping}"].status is Status.PASS
        assert seen[f"witness.{mapping}"].status is Status.PASS
    assert seen["audit.ioremap_cache.stage1"].value == "Normal-WB"
    assert seen["audit.ioremap_cache.combined"].value == "Normal-NC"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> S2Eval:
    """A guest for each kind of damage; each spoils what every accessor has stored."""
    command = S2Eval(tmp_path_factory.mktemp("damage"))
    insmod = "insmod wcprobe.ko device=@device bar=@bar only=accessors,writel,iowrite64_copy"
    suites = [
        make_suite(
            command.home / kind,
            f'extends = "wcprobe"\nscript = """\n{insmod} damage={kind}\n'
            'stream /dev/wcprobe\n"""\n',
        )
        for kind in KINDS
    ]
    names = [word for suite in suites for word in ("-s", suite)]
    ran = command("run", "-k", KERNEL, "-m", "flat-tcg", *names)
    assert ran.code == 1, ran.err
    return command


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_seen_by_the_guest_and_by_the_host(kind: str, damaged: S2Eval) -> None:
    (cell,) = [c for c in damaged.run().cells if c.suite.name == kind]
    for mapping in MAPPINGS:
        found = accessors(cell, mapping)
        stores = [name.removesuffix(".host") for name in found if name.endswith(".host")]
        assert len(stores) >= 18
        for name in stores:
            guest, host = found[name], found[f"{name}.host"]
            assert (guest.status, host.status) == (Status.FAIL, Status.FAIL), (mapping, name)
            assert "the same mapping reads" in guest.detail["reason"]
            assert "another mapping reads" in guest.detail["reason"]
            assert KINDS[kind] in host.detail["reason"], (mapping, name)
        loads = [o for name, o in found.items() if name.removesuffix(".host") not in stores]
        assert loads and {o.status for o in loads} == {Status.PASS}


def test_instructions_are_counted_to_the_last_one(s2eval: S2Eval) -> None:
    """Two runs of a machine whose clock counts them, without hardware."""
    suite = make_suite(
        s2eval.home / "instructions",
        'extends = "wcprobe-figures"\nscript = """\n'
        "insmod wcprobe.ko device=@device bar=@bar set=figures only=instructions\n"
        'stream /dev/wcprobe\n"""\n',
    )
    counts = []
    for _ in range(2):
        ran = s2eval("run", "-k", KERNEL, "-m", "flat-tcg-icount", "-s", suite)
        assert ran.code == 0, ran.err
        found = paths(s2eval.cell("instructions"))
        counts.append({p: o.value for p, o in found.items() if o.unit == "instructions/64B"})
    assert counts[0] == counts[1]
    assert len(counts[0]) == 36 * len(MAPPINGS)
    # Eight turns of a loop with a load, a DMB and a store; four of one with two pairs.
    writeq, stp = (counts[0][f"ioremap.instructions.{name}"] for name in ("writeq", "stp"))
    assert isinstance(writeq, int) and isinstance(stp, int)
    assert writeq >= 8 * 5 and writeq % 8 == 0
    assert stp >= 4 * 4 and stp % 4 == 0


@pytest.mark.extended
def test_a_clock_that_counts_no_instructions_is_not_believed(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", PATCHED, "-m", "nested-tcg", "-s", "wcprobe-figures")
    assert ran.code == 0, ran.err
    found = paths(s2eval.cell("wcprobe-figures"))
    for mapping in MAPPINGS:
        assert found[f"{mapping}.instructions"].status is Status.SKIP
        assert found[f"{mapping}.combining"].status is Status.SKIP
        assert "never merges" in found[f"{mapping}.combining"].detail["reason"]
        for accessor in ("writeb", "ldp_q", "memset_io"):
            sizes = [
                o
                for p, o in found.items()
                if p.startswith(f"{mapping}.throughput.{accessor}.") and o.unit == "MB/s"
            ]
            assert len(sizes) == 5 and all(len(o.samples) == 5 for o in sizes)
            assert {o.detail["representative"] for o in sizes} == {False}


def test_what_kills_a_guest_costs_one_test(s2eval: S2Eval) -> None:
    """Unaligned accesses of Normal memory over stage 2's Device; the next guest goes on."""
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg", "-s", "wcprobe-risky")
    assert ran.code == 1, ran.err
    cell = s2eval.cell("wcprobe-risky")
    found = paths(cell)
    assert not [path for path in found if "not_reached" in path]
    for mapping in MAPPINGS:
        unaligned = {found[f"{mapping}.unaligned_{what}"].value for what in ("loads", "stores")}
        assert unaligned == ({VM_KILLED} if mapping in NORMAL else {"faults"})
        for test in ("exclusives", "atomics", "zero"):
            assert found[f"{mapping}.{test}"].status is Status.DONE
        assert found[f"witness.{mapping}"].status is Status.PASS
    dead = [o for o in cell.observations if o.value == VM_KILLED]
    assert all("Unsupported FSC" in o.detail["reason"] for o in dead)
    assert len(dead) == 2 * len(NORMAL)


def test_on_a_stage_2_that_leaves_it_to_stage_1_nothing_dies(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", PATCHED, "-m", "nested-tcg", "-s", "wcprobe-risky")
    assert ran.code == 0, ran.err
    found = paths(s2eval.cell("wcprobe-risky"))
    for mapping in MAPPINGS:
        for what in ("loads", "stores"):
            one = found[f"{mapping}.unaligned_{what}"]
            # Three edges, sixteen offsets, five widths; aligned ones and 16 bytes at 8 apart.
            assert (one.status, one.detail["tries"]) == (Status.PASS, 186)
            assert one.value == ("works" if mapping in NORMAL else "faults")
    assert found["ioremap_wc.unaligned_stores.host"].status is Status.PASS
    assert found["ioremap_wc.plain.memset"].status is Status.PASS


def test_a_test_that_is_not_there_is_no_silent_pass(s2eval: S2Eval, tmp_path: Path) -> None:
    suite = make_suite(
        tmp_path / "typo",
        'extends = "wcprobe"\nscript = """\n'
        "insmod wcprobe.ko device=@device bar=@bar only=acessors\n"
        'stream /dev/wcprobe\n"""\n',
    )
    ran = s2eval("run", "-k", KERNEL, "-m", "flat-tcg", "-s", suite)
    assert ran.code == 125, ran.err
    (failed,) = [o for o in s2eval.cell("typo").observations if "insmod" in o.path]
    assert "EINVAL" in failed.detail["reason"]
