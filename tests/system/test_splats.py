# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that look for their own faults: `--config debug`, real series, real guests.

The debug build of debian-6.1 is shared by all tests here, and is made by the first one.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from harness.base.paths import PROJECT
from harness.evaluate.patch.verdict.logdiff import complaints
from harness.results.store import cell_path
from tests.system.commands import KERNEL, S2Eval, make_machine, make_suite

SERIES = PROJECT / "tests/data/series"


def judged(s2eval: S2Eval, series: str, base: str, suite: str) -> tuple[int, dict[str, Any]]:
    options = ("--kernel", KERNEL, "--config", "debug", "--suite", suite, "--json")
    ran = s2eval("patch", str(SERIES / series), "-m", patient(s2eval, base), *options)
    assert ran.out, ran.err
    return ran.code, json.loads(ran.out)


def patient(s2eval: S2Eval, base: str) -> str:
    """A machine that lets such a kernel be silent for longer, also where others keep it busy."""
    text = f'extends = "{base}"\n[limits]\nboot = 240\nsilence = 120\n'
    return make_machine(s2eval.home / f"patient-{base}.toml", text)


def regression(told: dict[str, Any], path: str) -> dict[str, Any]:
    (change,) = [c for c in told["changes"] if c["path"] == path]
    assert (change["kind"], change["about"], change["base"]) == ("regressed", "log", "not there")
    found: dict[str, Any] = change
    return found


@pytest.mark.parametrize(
    "where", ["host-tcg", pytest.param("nested-tcg", marks=pytest.mark.extended)]
)
def test_a_lock_order_inversion_is_a_regression_with_lockdeps_words(
    s2eval: S2Eval, where: str
) -> None:
    """slots_lock with the mmap lock held, in a stage-2 fault of a VM; nothing hangs.

    A VM without an operating system is enough: such a kernel is slow, as host and as guest.
    """
    suite = make_suite(s2eval.home / "few", FEW) if where == "host-tcg" else "cases"
    code, told = judged(s2eval, "slots-lock-order", where, suite)
    assert (code, told["verdict"]) == (1, "regressed"), told["headline"]
    change = regression(told, "log.L1.lockdep")
    assert change["patched"] == "WARNING: possible circular locking dependency detected"
    trace = "\n".join(change["detail"]["trace"])
    assert "(&kvm->slots_lock)" in trace and "(&mm->mmap_lock)" in trace
    # Where user_mem_abort() was compiled into.
    assert re.search(r"kvm_handle_guest_abort\+\S+ \(arch/arm64/kvm/mmu\.c:\d+\)", trace), trace
    names = [told[side]["cells"][0]["kernel"]["name"] for side in ("base", "patched")]
    shown = s2eval("compare", *(f"latest:{name}" for name in names))
    assert shown.code == 1 and "possible circular locking dependency" in " ".join(shown.out.split())


# One VM with a memslot and a stage-2 fault.
FEW = """
extends = "vma"
script = '''
insmod vma-memory.ko device=@device bar=@bar
exec /bin/vma device=@device bar=@bar only=pages.cached.4k_fault.load
'''
"""
DEBUG = """
fragments = ["base", "host-under-test", "shared-folder", "guest", "debug"]
[source]
package = "linux-source-6.1"
suites = ["bookworm", "bookworm-security"]
"""
# how, and what the log tells of, in its order; lockdep is silent after its own report
REPORTS = {
    "flat-tcg": (
        "rcu,atomic,shift,bounds,refcount,list,overflow,leak,lockorder",
        ["rcu-usage", "atomic-sleep", "ubsan", "ubsan", "refcount", "list-corruption", "kfence",
         "lockdep", "kmemleak"],
    ),
    # L2's kernel log is quiet on its slow console
    "nested-tcg": ("rcu,leak", ["rcu-usage", "kmemleak"]),
}  # fmt: skip


@pytest.mark.extended
@pytest.mark.parametrize("machine", REPORTS)
def test_what_a_guest_reports_is_in_its_log(s2eval: S2Eval, machine: str) -> None:
    how, kinds = REPORTS[machine]
    (s2eval.home / "debug.toml").write_text(DEBUG)
    suite = make_suite(
        s2eval.home / "many", f'extends = "provoke"\nscript = "insmod provoke.ko how={how}"\n'
    )
    s2eval("run", "-k", "./debug.toml", "-m", patient(s2eval, machine), "-s", suite)
    cell = s2eval.cell("many")
    log = "console.log" if machine == "flat-tcg" else "l2.kmsg.log"
    lines = (cell_path(s2eval.folder(), cell.name) / log).read_text(errors="replace").splitlines()
    # Each of the objects that were lost has its report.
    told = [key for key, _ in itertools.groupby(c.kind for c in complaints("L", lines) if c.kind)]
    assert told == [key for key, _ in itertools.groupby(kinds)], s2eval.folder()


@pytest.mark.extended
def test_memory_that_a_vm_leaves_behind_is_a_regression(s2eval: S2Eval) -> None:
    code, told = judged(s2eval, "stage2-leak", "nested-tcg", "cases")
    assert (code, told["verdict"]) == (1, "regressed"), told["headline"]
    change = regression(told, "log.L1.kmemleak")
    trace = "\n".join(change["detail"]["trace"])
    assert re.search(r"kvm_init_stage2_mmu\+\S+ \(arch/arm64/kvm/mmu\.c:\d+\)", trace), trace
