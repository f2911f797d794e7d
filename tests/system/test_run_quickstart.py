# SPDX-License-Identifier: GPL-2.0-only
"""The main job: what the patch changes, from two real nested guests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess

from harness.results.records import Cell, Observation, Run, Status
from tests.system.conftest import Finished

PATCHED = "+stage2-normal-nc/"
MAPPINGS = (
    "ioremap",
    "ioremap_np",
    "pci_iomap_wc",
    "memremap_wc",
    "ioremap_cache",
    "ioremap_wc",
)
STORES = 19  # accessors that store: the host looks at what each has left


def baseline(finished: Finished) -> Cell:
    return finished.s2eval.cell("debian-6.1/")


def patched(finished: Finished) -> Cell:
    return finished.s2eval.cell(PATCHED)


def at(cell: Cell, path: str) -> Observation:
    (found,) = [o for o in cell.observations if o.path == path]
    return found


def test_the_finding_is_expected_so_the_run_is_a_success(quickstart: Finished) -> None:
    run = quickstart.s2eval.run()
    assert (quickstart.ran.code, run.status) == (0, Status.PASS), quickstart.ran.err
    assert not run.run.interrupted
    wanted = [e for cell in run.cells for e in cell.expectations]
    assert len(wanted) >= 5 and all(e.status is Status.PASS for e in wanted)


def test_the_unpatched_kernel_kills_the_guest_and_kvm_says_why(quickstart: Finished) -> None:
    cell = baseline(quickstart)
    killed = at(cell, "wcprobe.ioremap_wc.unaligned_load")
    assert (cell.status, killed.status, killed.value) == (Status.FAIL, Status.FAIL, "vm-killed")
    assert cell.failure
    # Neither silence nor a deadline: the harness has seen it happen.
    assert (cell.failure.kind, cell.failure.where) == ("kvm-error", "L1")
    assert "Unsupported FSC: EC=0x24 xFSC=0x21" in cell.failure.summary
    assert killed.detail["reason"] == cell.failure.summary
    assert any("Unsupported FSC" in line for line in cell.failure.excerpt)
    log = quickstart.s2eval.folder() / "debian-6.1_nested-tcg_wcprobe" / cell.failure.log
    assert "Unsupported FSC" in log.read_text()


def test_what_the_guest_reported_before_it_died_is_kept(quickstart: Finished) -> None:
    cell = baseline(quickstart)
    checks = [o for o in cell.observations if o.path.endswith(".host")]
    assert [o.status for o in checks] == [Status.PASS] * STORES * len(MAPPINGS)
    for mapping in ("ioremap", "ioremap_np"):
        assert at(cell, f"wcprobe.{mapping}.unaligned_load").value == "faults"
    assert at(cell, "wcprobe.ioremap_wc.stage1").value == "Normal-NC"
    unreached = at(cell, "wcprobe.ioremap_wc.not_reached")
    assert (unreached.status, unreached.value) == (Status.SKIP, 1)


def test_all_of_stage_2_is_in_both_records(quickstart: Finished) -> None:
    for cell, kind in ((baseline(quickstart), "Device-nGnRE"), (patched(quickstart), "Normal-NC")):
        assert cell.census and (cell.census.at, cell.census.problem) == (MAPPINGS[-1], "")
        memory, bar = cell.census.kinds
        assert (memory.region, memory.type, memory.target) == ("RAM", "Normal-WB", "memory")
        assert (bar.region, bar.type, bar.target, bar.rights) == ("BAR2", kind, "device", "rw-")
        assert sum(one.size // one.block for one in cell.census.ranges) == bar.leaves > 100
        rules = [o.status for o in cell.observations if o.path.startswith("census.")]
        assert len(rules) == 7 and set(rules) == {Status.PASS}


def test_on_the_patched_kernel_everything_works(quickstart: Finished) -> None:
    cell = patched(quickstart)
    assert (cell.status, cell.failure) == (Status.PASS, None)
    assert at(cell, "wcprobe.ioremap_wc.unaligned_load").value == "works"
    assert at(cell, "wcprobe.ioremap_wc.unaligned_store.host").status is Status.PASS
    assert at(cell, "wcprobe.ioremap.unaligned_load").value == "faults"


def test_the_page_tables_say_what_the_patch_does(quickstart: Finished) -> None:
    for mapping in MAPPINGS:
        before = at(baseline(quickstart), f"audit.{mapping}.stage2")
        after = at(patched(quickstart), f"audit.{mapping}.stage2")
        assert (before.value, after.value) == ("Device-nGnRE", "Normal-NC")
    assert at(baseline(quickstart), "audit.ioremap_wc.combined").value == "Device-nGnRE"
    assert at(patched(quickstart), "audit.ioremap_wc.combined").value == "Normal-NC"


def test_throughput_is_measured_but_never_a_verdict(quickstart: Finished) -> None:
    figures = [o for o in patched(quickstart).observations if o.unit == "MB/s"]
    assert len(figures) >= 2 * len(MAPPINGS)
    assert {o.status for o in figures} == {Status.DONE}
    assert {o.detail["representative"] for o in figures} == {False}
    assert all(isinstance(o.value, float) and o.value > 0 and o.samples for o in figures)


def test_provenance_stands_with_the_result(quickstart: Finished) -> None:
    one, two = baseline(quickstart), patched(quickstart)
    assert one.kernel.commit == two.kernel.commit != ""
    assert one.kernel.image_hash != two.kernel.image_hash
    assert two.kernel.series == ["stage2-normal-nc"] and one.kernel.series == []
    for cell in (one, two):
        assert cell.kernel.version.startswith("6.1.") and "gcc" in cell.kernel.compiler
        assert cell.machine.qemu and "-accel" in cell.machine.command
        assert cell.fidelity.facts["device_alignment_fault"] is True
        begun = "restore L1" if cell.machine.restored else "boot L1"
        assert {p.name for p in cell.phases} >= {"build", begun, "start L2", "probe", "judge"}
    assert quickstart.s2eval.run().run.host.cpus > 0


def test_every_log_that_is_named_has_something_in_it(quickstart: Finished) -> None:
    for cell in quickstart.s2eval.run().cells:
        folder = quickstart.s2eval.folder() / cell.name.replace("/", "_")
        assert {"console.log", "l2.results.log", "results.ktap", "reproduce.sh"} <= set(cell.logs)
        assert all((folder / name).stat().st_size for name in cell.logs)


def test_progress_has_a_line_for_each_cell_and_output_the_table(quickstart: Finished) -> None:
    told = [line for line in quickstart.ran.err.splitlines() if line.startswith(("FAIL", "PASS"))]
    assert [line.split()[:2] for line in told] == [
        ["FAIL", "debian-6.1/nested-tcg/wcprobe"],
        ["PASS", "debian-6.1+stage2-normal-nc/nested-tcg/wcprobe"],
    ]
    assert "Unsupported FSC" in told[0]
    assert "VM killed" in quickstart.ran.out and "not representative (TCG)" in quickstart.ran.out
    assert "exit code 0" in quickstart.ran.out


def test_nothing_is_left_behind(quickstart: Finished) -> None:
    assert quickstart.left == ()


def test_show_says_the_same_again(quickstart: Finished) -> None:
    again = quickstart.s2eval("show")
    assert (again.code, again.out, again.err) == (0, quickstart.ran.out, "")
    named = quickstart.s2eval("show", quickstart.s2eval.run().run.id)
    assert named.out == again.out


def test_show_as_json_is_the_record(quickstart: Finished) -> None:
    shown = quickstart.s2eval("show", "--json")
    assert json.loads(shown.out) == json.loads(
        (quickstart.s2eval.folder() / "run.json").read_text()
    )


def test_json_is_all_there_is_on_standard_output(flat: Finished) -> None:
    assert flat.ran.code == 0, flat.ran.err
    run = Run.model_validate_json(flat.ran.out)
    assert run == flat.s2eval.run()
    assert "boot and probe" in flat.ran.err


def test_a_flat_guest_shows_stage_1_alone(flat: Finished) -> None:
    (cell,) = flat.s2eval.run().cells
    assert (cell.status, cell.failure, cell.audits) == (Status.PASS, None, [])
    assert at(cell, "wcprobe.ioremap.unaligned_load").value == "faults"
    assert at(cell, "wcprobe.ioremap_wc.unaligned_load").value == "works"
    assert flat.left == ()


def reproduce(finished: Finished, cell: str) -> str:
    """Write the script as a user would, run it, and give back what it printed."""
    s2eval = finished.s2eval
    shown = s2eval("show", "--reproduce", cell)
    assert shown.code == 0, shown.err
    script = s2eval.home / "again.sh"
    script.write_text(shown.out)
    with subprocess.Popen(
        ["sh", str(script)],
        cwd=s2eval.home,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(s2eval.scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as shell:
        try:
            said = shell.communicate(timeout=300)[0].decode(errors="replace")
        finally:  # a script that never ends must not leave its guest behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, said
    assert s2eval.leftovers() == []
    return said


def test_the_script_runs_a_nested_cell_again_without_the_harness(quickstart: Finished) -> None:
    said = reproduce(quickstart, "debian-6.1+stage2-normal-nc/nested-tcg/wcprobe")
    assert "KTAP version 1" in said and "ok 40 unaligned_store" in said
    assert "\n# s2eval: end" in said and "not ok" not in said


def test_the_script_of_a_cell_that_is_killed_ends_as_well(quickstart: Finished) -> None:
    said = reproduce(quickstart, "debian-6.1/nested-tcg/wcprobe")
    assert "Unsupported FSC" in said and "kvm run failed" in said
    assert "\n# s2eval: end" not in said


def test_the_script_runs_a_flat_cell_again(flat: Finished) -> None:
    said = reproduce(flat, "debian-6.1/flat-tcg/wcprobe")
    assert "KTAP version 1" in said and "\n# s2eval: end" in said
