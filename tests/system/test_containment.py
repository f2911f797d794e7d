# SPDX-License-Identifier: GPL-2.0-only
"""The host under test survives what a guest does to its device, and a reset keeps order."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.base.paths import PROJECT
from harness.results.records import Cell, Observation, Status
from tests.system.commands import KERNEL, S2Eval


def by_path(cell: Cell) -> dict[str, Observation]:
    return {o.path: o for o in cell.observations}


def unhurt(cell: Cell) -> bool:
    host = {o.path.rpartition(".")[2]: o for o in cell.observations if ".host." in o.path}
    assert set(host) == {"answers", "log", "device"}
    return all(o.status is Status.PASS for o in host.values())


def test_the_host_survives_aborts_and_refused_accesses(s2eval: S2Eval) -> None:
    machines = [w for name in ("unbacked", "edu") for w in ("-m", f"nested-tcg-{name}")]
    ran = s2eval("run", "-k", KERNEL, *machines, "-s", "containment")
    assert ran.code == 0, ran.err
    unbacked, edu = s2eval.cell("unbacked"), s2eval.cell("edu")
    assert unhurt(unbacked) and unhurt(edu)
    for test in ("load", "store", "gone_load_loop", "gone_store_loop"):
        assert by_path(unbacked)[f"containment.{test}"].value == "faults"
    assert by_path(edu)["containment.load"].value == "works"
    assert by_path(edu)["containment.byte_load"].value == "faults"


def test_a_bar_is_not_executed(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg", "-s", "containment")
    cell = s2eval.cell("nested-tcg")
    assert ran.code == 0, ran.err
    assert unhurt(cell)
    assert by_path(cell)["containment.execute"].value == "faults"
    assert s2eval("run", "-k", KERNEL, "-m", "flat-tcg", "-s", "containment").code == 0
    # Without a stage 2 nothing forbids it: so it is stage 2 that did.
    assert by_path(s2eval.cell("flat-tcg"))["containment.execute"].value == "works"


def test_a_device_that_was_lost_is_told(s2eval: S2Eval, tmp_path: Path) -> None:
    suite = tmp_path / "containment"
    shutil.copytree(PROJECT / "guest-tests/containment", suite)
    shutil.copytree(PROJECT / "guest-tests/include", tmp_path / "include")
    lose = "(echo 1 > /sys/bus/pci/devices/$BDF/remove) < /dev/null > /dev/null 2>&1 &\n"
    (suite / "host" / "decode-on.sh").write_text(lose)
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg-edu", "-s", str(suite))
    host = by_path(s2eval.cell("edu"))
    assert ran.code == 1, ran.err
    assert host["containment.host.device"].status is Status.FAIL
    assert host["containment.host.answers"].status is Status.PASS


def test_no_store_reaches_a_device_that_is_being_reset(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg-nvme", "-s", "reset")
    cell = s2eval.cell("nvme")
    assert ran.code == 0, ran.err
    assert unhurt(cell)
    seen = by_path(cell)
    for test in ("flr", "flr_wc", "decode_off", "decode_off_wc", "host_reset", "host_unbind"):
        assert seen[f"reset.{test}.device"].status is Status.PASS
    assert seen["reset.flr.count"].value == 64
