# SPDX-License-Identifier: GPL-2.0-only
"""Guests that fail, for real: whose fault it was, what shows it, and where to read on.

guest-tests/provoke fails as it is told to; the guests of one machine share a run.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from harness.guests.run.suite_run import RESULTS_LIMIT
from harness.hosts.hang.stacks import UNKNOWN
from harness.kernel.build import build
from harness.kernel.spec import resolve
from harness.results.records import Cell, Failure, Status
from tests.system.commands import (
    KERNEL,
    S2Eval,
    cache_without,
    make_machine,
    make_suite,
    provoke,
    wait_for,
)
from tests.system.conftest import Finished

# /init is a program: bytes that are no text. The line breaks come with the text after it.
GARBAGE = """
extends = "provoke"
script = '''
insmod provoke.ko how=garbage count=20
stream /init
stream /suite
'''
"""
# The last words before the silence are garbage: reading the kernel's log never comes to an end.
STARE = """
extends = "provoke"
script = '''
insmod provoke.ko how=garbage count=20
stream /proc/kmsg
'''
"""
# Tests that a guest survives, then a read that waits for a key for ever.
WAITING = """
extends = "wcprobe"
script = '''
insmod wcprobe.ko device=1af4:1110 bar=2 only=writel
stream /dev/wcprobe
stream /dev/console
'''
"""
FLOOD = 'description = "never ends"\nscript = "stream /dev/zero"\n'
SILENT = 'description = "says nothing"\nscript = "# nothing"\n'


def failed(finished: Finished, part: str) -> tuple[Cell, Failure]:
    """The cell of which `part` is the end of its name, and its failure."""
    (cell,) = [c for c in finished.s2eval.run().cells if c.name.endswith(part)]
    assert cell.failure, cell
    return cell, cell.failure


def log_of(finished: Finished, cell: Cell) -> str:
    assert cell.failure
    path = finished.s2eval.folder() / cell.name.replace("/", "_") / cell.failure.log
    return path.read_text(errors="replace")


def told(finished: Finished, cell: Cell) -> str:
    """The one line of the progress about `cell`."""
    (line,) = [n for n in finished.ran.err.splitlines() if f" {cell.name} (" in n]
    return line


@pytest.fixture(scope="module")
def flat_failures(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    s2eval = S2Eval(tmp_path_factory.mktemp("f"))
    suites = [
        *provoke(s2eval.home, "how=panic", "how=oops", "how=hang"),
        make_suite(s2eval.home / "garbage", GARBAGE),
        make_suite(s2eval.home / "stare", STARE),
        make_suite(s2eval.home / "flood", FLOOD),
        make_suite(s2eval.home / "silent", SILENT),
    ]
    wanted = [word for name in suites for word in ("-s", name)]
    return Finished(s2eval, s2eval("run", "-k", KERNEL, "-m", "flat-tcg", *wanted))


@pytest.fixture(scope="module")
def nested_failures(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    s2eval = S2Eval(tmp_path_factory.mktemp("n"))
    suites = [
        *provoke(s2eval.home, "how=panic", "how=oops", "how=hang"),
        make_suite(s2eval.home / "garbage", GARBAGE),
        make_suite(s2eval.home / "flood", FLOOD),
    ]
    wanted = [word for name in suites for word in ("-s", name)]
    return Finished(s2eval, s2eval("run", "-k", KERNEL, "-m", "nested-tcg", *wanted))


# how, whose fault, the class, words of the line that shows it
GUESTS = [
    ("panic", Status.FAIL, "panic", "Kernel panic - not syncing: provoke: asked to panic"),
    ("oops", Status.FAIL, "oops", "NULL pointer dereference at virtual address 0000000000000010"),
    ("hang", Status.MISS, "silence", "no output for 15 s"),
]


@pytest.mark.parametrize(("how", "status", "kind", "words"), GUESTS)
def test_how_a_flat_guest_ends(
    flat_failures: Finished, how: str, status: Status, kind: str, words: str
) -> None:
    cell, failure = failed(flat_failures, f"/{how}")
    assert (cell.status, failure.kind, failure.where) == (status, kind, "L1")
    assert words in failure.summary and words in told(flat_failures, cell)
    assert failure.log == "console.log" and "provoke: loading" in log_of(flat_failures, cell)
    assert any("provoke" in line for line in failure.excerpt)


@pytest.mark.parametrize(("how", "status", "kind", "words"), GUESTS)
def test_how_a_nested_guest_ends(
    nested_failures: Finished, how: str, status: Status, kind: str, words: str
) -> None:
    cell, failure = failed(nested_failures, f"/{how}")
    assert (cell.status, failure.kind, failure.where) == (status, kind, "L2")
    assert words in failure.summary and words in told(nested_failures, cell)
    assert failure.log == "l2.console.log"


def test_an_oops_that_is_survived_is_the_kernels_fault_all_the_same(
    flat_failures: Finished, nested_failures: Finished
) -> None:
    for finished in (flat_failures, nested_failures):
        cell, failure = failed(finished, "/oops")
        assert "pc provoke_oops+" in failure.summary
        (end,) = [o for o in cell.observations if o.path == "oops.guest"]
        assert (end.status, end.value) == (Status.FAIL, "oops")
        (command,) = [o for o in cell.observations if o.path.startswith("oops.command.")]
        assert command.status is Status.ERROR and "signal-11" in command.detail["reason"]


def test_where_a_silent_guest_hangs(flat_failures: Finished, nested_failures: Finished) -> None:
    """Each CPU takes no interrupts, in a module that is called as the kernel calls one."""
    for finished, where in ((flat_failures, "L1"), (nested_failures, "L2")):
        cell, failure = failed(finished, "/hang")
        place = failure.place
        assert place and place.known, failure.summary
        assert (place.where, place.el, place.interrupts) == (where, 1, "masked")
        assert (place.function, place.file) == (UNKNOWN, "")
        stuck = [cpu for cpu in place.cpus if cpu.where == where and cpu.state == "stuck"]
        assert len(stuck) == (2 if where == "L1" else 1)
        assert any("do_one_initcall" in cpu.stack for cpu in stuck)
        limit = "(limit: silence in [limits] of the machine "
        assert limit in failure.summary and limit in told(finished, cell)


def test_binary_garbage_is_kept_in_the_log_and_nowhere_else(
    flat_failures: Finished, nested_failures: Finished
) -> None:
    for finished, console in ((flat_failures, "console.log"), (nested_failures, "l2.console.log")):
        (cell,) = [c for c in finished.s2eval.run().cells if c.name.endswith("/garbage")]
        assert (cell.status, cell.failure) == (Status.ERROR, None), cell.failure
        folder = finished.s2eval.folder() / cell.name.replace("/", "_")
        assert b"\x1b[2J" in (folder / console).read_bytes()
        results = "results.log" if console == "console.log" else "l2.results.log"
        assert b"\x7fELF" in (folder / results).read_bytes()
        for text in (finished.ran.out, finished.ran.err, cell.model_dump_json()):
            assert not {c for c in text if c < " "} - {"\n"}


def test_an_excerpt_of_garbage_is_harmless(flat_failures: Finished) -> None:
    cell, failure = failed(flat_failures, "/stare")
    assert (failure.kind, failure.where) == ("silence", "L1")
    assert b"\x1b[2J" in log_of(flat_failures, cell).encode()
    shown = [line for line in failure.excerpt if "provoke: " in line]
    assert len(shown) >= 20 and "provoke: " in failure.summary
    for line in (*failure.excerpt, failure.summary, told(flat_failures, cell)):
        assert line.isprintable(), line


def test_a_suite_that_never_stops_talking_is_stopped(
    flat_failures: Finished, nested_failures: Finished
) -> None:
    for finished, where in ((flat_failures, "L1"), (nested_failures, "L2")):
        cell, failure = failed(finished, "/flood")
        assert (cell.status, failure.kind, failure.where) == (Status.MISS, "flood", where)
        assert len(log_of(finished, cell)) > RESULTS_LIMIT
        assert len(cell.model_dump_json()) < 20_000


def test_a_suite_without_a_result_is_no_success(flat_failures: Finished) -> None:
    (cell,) = [c for c in flat_failures.s2eval.run().cells if c.name.endswith("/silent")]
    assert (cell.status, cell.failure) == (Status.ERROR, None)
    assert "ended without a result" in flat_failures.ran.out


def test_a_fail_decides_the_exit_code(flat_failures: Finished, nested_failures: Finished) -> None:
    for finished in (flat_failures, nested_failures):
        assert finished.ran.code == 1, finished.ran.err
        assert finished.s2eval.run().status is Status.FAIL
        assert finished.s2eval.leftovers() == []


# what is added to L1's command line, whose fault, the class, where, words
L1_BOOTS = [
    # A root without a first process: what rdinit names is there, but no program.
    ("rdinit=/proc init=/nowhere", Status.MISS, "no-init", "L1", "Requested init /nowhere failed"),
    ("initcall_blacklist=vdso_init", Status.FAIL, "panic", "L1", "Attempted to kill init!"),
    ("kvm-arm.mode=none", Status.MISS, "vmm-exit", "VMM", "failed to initialize kvm"),
]


@pytest.mark.parametrize(("append", "status", "kind", "where", "words"), L1_BOOTS)
def test_an_l1_that_does_not_come_up(
    s2eval: S2Eval, append: str, status: Status, kind: str, where: str, words: str
) -> None:
    text = f'extends = "nested-tcg"\nappend = "{append}"\n'
    machine = make_machine(s2eval.home / "broken.toml", text)
    ran = s2eval("run", "-k", KERNEL, "-m", machine, "-s", "provoke")
    cell, failure = failed(Finished(s2eval, ran), "/provoke")
    assert (cell.status, failure.kind, failure.where) == (status, kind, where)
    assert words in failure.summary and words in " ".join(ran.out.split())
    assert ran.code == (1 if status is Status.FAIL else 125)


def broken_store(folder: Path) -> str:
    """A cache like everybody's in which the kernel's Image is cut off in the middle."""
    made = build(resolve(KERNEL), progress=print)
    cache = cache_without(folder, "builds")
    mine = folder / "builds" / made.folder.name
    mine.mkdir(parents=True)
    for path in made.folder.iterdir():
        if path.name != "Image":
            (mine / path.name).symlink_to(path)
    image = made.image.read_bytes()
    (mine / "Image").write_bytes(image[: len(image) // 8])
    return cache


def test_an_l1_that_stops_early_is_noticed_by_its_silence(s2eval: S2Eval) -> None:
    """With the machine's own limits: 15 s of silence, not the 60 s of its deadline."""
    cache = broken_store(s2eval.home / "cache")
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg", S2EVAL_CACHE=cache)
    cell, failure = failed(Finished(s2eval, ran), "/wcprobe")
    assert (ran.code, cell.status) == (125, Status.MISS)
    assert (failure.kind, failure.where) == ("silence", "L1")
    assert failure.summary == (
        "no output for 15 s; it never said a word; code outside of the kernel's image in L1, EL2,"
        " interrupts masked (limit: silence in [limits] of the machine nested-tcg)"
    )


@pytest.mark.parametrize("base", ["flat-tcg", "nested-tcg"])
def test_a_qemu_that_does_not_start_says_why(s2eval: S2Eval, base: str) -> None:
    text = f'extends = "{base}"\ncpu = "cortex-a99"\n'
    machine = make_machine(s2eval.home / "bad-cpu.toml", text)
    ran = s2eval("run", "-k", KERNEL, "-m", machine)
    cell, failure = failed(Finished(s2eval, ran), "/wcprobe")
    assert (ran.code, cell.status, failure.kind) == (125, Status.MISS, "machine")
    assert "unable to find CPU model 'cortex-a99'" in failure.summary


def test_a_qemu_that_starts_but_not_with_this_machine(s2eval: S2Eval) -> None:
    """The calibration guest needs no 1 TiB of memory: this QEMU ends before its first line."""
    text = 'extends = "flat-tcg"\nmemory_mib = 1048576000\n'
    machine = make_machine(s2eval.home / "huge.toml", text)
    ran = s2eval("run", "-k", KERNEL, "-m", machine)
    cell, failure = failed(Finished(s2eval, ran), "/wcprobe")
    assert (ran.code, cell.status, failure.kind) == (125, Status.MISS, "vmm-exit")
    assert (failure.where, failure.log) == ("VMM", "qemu.log")
    assert failure.summary.startswith("qemu-system-aarch64: ")


def test_when_l1_is_killed_what_l2_had_said_is_kept(s2eval: S2Eval) -> None:
    suite = make_suite(s2eval.home / "waiting", WAITING)
    running = s2eval.start("run", "-k", KERNEL, "-m", "nested-tcg", "-s", suite, "--fresh")
    running.until(": probe")
    results = s2eval.results / "latest" / f"{KERNEL}_nested-tcg_waiting" / "l2.results.log"

    def halfway() -> bool:
        said = results.read_bytes() if results.is_file() else b""
        return re.search(rb"^ok \d+ ioremap_wc$", said, re.M) is not None

    wait_for("L2 reports", halfway)
    (qemu,) = [p for p in s2eval.processes() if p != running.process.pid]
    os.kill(qemu, signal.SIGKILL)
    ran = running.end()
    cell, failure = failed(Finished(s2eval, ran), "/waiting")
    assert (ran.code, cell.status) == (125, Status.MISS)
    assert (failure.kind, failure.summary) == ("vmm-exit", "QEMU ended with signal 9")
    done = {o.path: o.status for o in cell.observations}
    assert done["waiting.ioremap.writel"] is Status.PASS
    assert done["waiting.ioremap.writel.host"] is Status.PASS
