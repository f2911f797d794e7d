# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure, Status
from harness.suites.failures import classify
from harness.suites.failures.classify import Watch
from tests.data_files import DATA

LOGS = DATA / "logs"


def lines(name: str) -> list[str]:
    text = (LOGS / f"{name}.log").read_bytes().decode("utf-8", errors="replace")
    return text.replace("\r\n", "\n").split("\n")


# Recorded console, class, what its summary begins with.
CONSOLES = [
    ("panic", "panic", "Kernel panic - not syncing: provoke: asked to panic"),
    ("oops-survived", "oops", "Unable to handle kernel NULL pointer dereference at virtual addr"),
    ("oops-then-panic", "oops", "Unable to handle kernel NULL pointer dereference at virtual ad"),
    ("oops-panic-on-oops", "oops", "Unable to handle kernel NULL pointer dereference at virtual"),
    ("paging", "oops", "Unable to handle kernel paging request at virtual address fffffbffeffff0"),
    ("bug", "bug", "kernel BUG at provoke.c:"),
    ("abort", "external-abort", "Internal error: synchronous external abort: 0000000096000010"),
    ("serror", "serror", "SError Interrupt on CPU0, code 0x00000000be000000 -- SError"),
    ("rcu-stall", "rcu-stall", "rcu: INFO: rcu_sched self-detected stall on CPU"),
    ("irqoff", "rcu-stall", "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:"),
    ("soft-lockup", "soft-lockup", "watchdog: BUG: soft lockup - CPU#1 stuck for 8s! [init:1]"),
    ("hung-task", "hung-task", "INFO: task init:33 blocked for more than 3 seconds."),
    ("oom-init", "oom", "init invoked oom-killer:"),
    ("oom-kernel", "oom", "init invoked oom-killer:"),
    ("init-exit", "panic", "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000"),
    ("bad-init", "no-init", "Kernel panic - not syncing: No working init found."),
    ("no-root", "no-init", 'VFS: Cannot open root device "(null)"'),
    ("warn", "warn", "WARNING: CPU: "),
    ("kvm-l1", "kvm-error", "kvm [55]: Unsupported FSC: EC=0x24 xFSC=0x21 ESR_EL2=0x93c18021"),
    ("splats", "atomic-sleep", "BUG: sleeping function called from invalid context at provoke/lo"),
    ("kfence-overflow", "kfence", "BUG: KFENCE: out-of-bounds write in provoke_overflow+0x14/0x3"),
    ("kfence-uaf", "kfence", "BUG: KFENCE: use-after-free read in provoke_uaf+0x1c/0x40 [provoke]"),
    ("kfence-invalid-free", "kfence", "BUG: KFENCE: invalid free in provoke_doublefree+0x24/0x4"),
    ("kasan-overflow", "kasan", "BUG: KASAN: slab-out-of-bounds in provoke_overflow+0xc4/0xd0 ["),
    ("kasan-uaf", "kasan", "BUG: KASAN: use-after-free in provoke_uaf+0xc0/0xc4 [provoke]"),
    ("kasan-double-free", "kasan", "BUG: KASAN: double-free in kfree+0x58/0x80"),
    ("kcsan", "kcsan", "BUG: KCSAN: data-race in virtqueue_get_buf_ctx+0x210/0x4d0"),
    ("cfi", "cfi", "CFI failure at provoke_cfi+0x2c/0x44 [provoke] (target: take_int+0x0/0x8 ["),
    ("lockdep-order", "lockdep", "WARNING: possible circular locking dependency detected"),
    ("lockdep-recursive", "lockdep", "WARNING: possible recursive locking detected"),
    ("lockdep-irq", "lockdep", "WARNING: inconsistent lock state"),
    ("lockdep-unlock", "lockdep", "WARNING: bad unlock balance detected!"),
    ("lockdep-held", "lockdep", "WARNING: init/34 still has locks held!"),
    ("workqueue-lockup", "workqueue-lockup", "BUG: workqueue lockup - pool cpus=0 node=0 flags"),
    ("unhandled-exception", "unhandled-exception", "Unhandled 64-bit el1h sync exception on CP"),
]
REMARKS = {kind for kind in FailureKind if kind.remark}


@pytest.mark.parametrize(("log", "kind", "summary"), CONSOLES)
def test_recorded_console(log: str, kind: str, summary: str) -> None:
    failure = classify.console(lines(log), "L1", f"{log}.log")
    assert failure is not None
    assert failure.kind == kind
    assert failure.summary.startswith(summary)
    assert (failure.where, failure.log) == ("L1", f"{log}.log")
    assert any(summary[:40] in line for line in failure.excerpt)
    assert len(failure.excerpt) <= classify.EXCERPT


@pytest.mark.parametrize("log", ["clean", "silence-hang", "kvm-l2", "garbage"])
def test_recorded_console_without_a_failure(log: str) -> None:
    assert classify.console(lines(log)) is None


@pytest.mark.parametrize("log", [log for log, _, _ in CONSOLES] + ["clean", "silence-hang"])
def test_watch_sees_what_the_post_mortem_sees(log: str) -> None:
    watch = Watch()
    seen = [watch.line(line) for line in lines(log)]
    failure = classify.console(lines(log))
    expected = failure.kind if failure and failure.kind not in REMARKS else None
    assert (watch.first.kind if watch.first else None) == expected
    survived = ("clean", "silence-hang", "oops-survived", "paging", "bug", "abort", "warn")
    assert log.startswith(
        ("splats", "lockdep-", "kfence-", "kasan-", "kcsan", "cfi", *survived)
    ) == (not any(f and f.effect == "ends" for f in seen))


def test_oops_says_where_in_the_kernel() -> None:
    failure = classify.console(lines("oops-then-panic"))
    assert failure is not None
    assert failure.summary.endswith("(pc provoke_oops+0x10/0x20 [provoke])")


# Texts of kernels and configurations there is no recording of, as their sources have them.
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Watchdog detected hard LOCKUP on cpu 0", "hard-lockup"),
        ("CPU1: Watchdog detected hard LOCKUP on cpu 0", "hard-lockup"),
        ("INFO: task init:1 blocked in I/O wait for more than 5 seconds.", "hung-task"),
        ("rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... }", "rcu-stall"),
        ("BUG: scheduling while atomic: init/1/0x00000002", "atomic-sleep"),
        ("BUG: Bad page state in process init  pfn:12345", "bug"),
        ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", "lockdep"),
        ("WARNING: possible irq lock inversion dependency detected", "lockdep"),
        ("WARNING: lock held when returning to user space!", "lockdep"),
        ("[ BUG: Invalid wait context ]", "lockdep"),
        ("list_del corruption. prev->next should be 1, but was 2. (prev=3)", "list-corruption"),
        ("refcount_t: underflow; use-after-free.", "refcount"),
        ("BUG kmalloc-128 (Tainted: G    B      O      ): Right Redzone over", "slab-corruption"),
        ("WARNING: mm/slub.c:12 at foo+0x0/0x10, CPU#1: init/1", "warn"),
        ("Internal error: Oops - Undefined instruction: 0000000002000000 [#1] SMP", "oops"),
        ("Insufficient stack space to handle exception!", "panic"),
        ("Kernel panic - not syncing: HYP panic:", "panic"),
        ("kvm [99]: nVHE hyp panic at: [<ffff800008001000>] __kvm_nvhe_x+0x0/0x8!", "panic"),
        ("kvm [9]: Data abort outside memslots with no valid syndrome info", "kvm-error"),
    ],
)
def test_texts_from_the_sources(line: str, kind: str) -> None:
    failure = classify.console([f"[    1.234567] {line}"])
    assert failure is not None
    assert (failure.kind, failure.summary) == (kind, line)


@pytest.mark.parametrize(
    "line",
    [
        "kvm [1]: HYP mode not available",
        "kvm [1]: VHE mode initialized successfully",
        "kvm [1]: IPA Size Limit: 48 bits",
        "rcu: Hierarchical RCU implementation.",
        "Kernel command line: console=ttyAMA0 panic=-1 oops=panic",
        "kmemleak: Kernel memory leak detector initialized (mem pool available: 15903)",
        "kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)",
        "BUG: MAX_STACK_TRACE_ENTRIES too low!",
    ],
)
def test_ordinary_lines(line: str) -> None:
    assert classify.class_of(line) is None


# -- the VMM ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "summary"),
    [
        ("vmm-bad-cpu", "qemu-system-aarch64: unable to find CPU model 'cortex-a99'"),
        ("vmm-bad-device", "qemu-system-aarch64: -device nosuch: 'nosuch' is not a valid device"),
        ("vmm-no-kernel", "qemu-system-aarch64: could not load kernel 'missing'"),
        ("vmm-no-memory", "qemu-system-aarch64: cannot set up guest memory 'mach-virt.ram'"),
    ],
)
def test_recorded_vmm_that_does_not_start(log: str, summary: str) -> None:
    failure = classify.vmm(lines(log), 1, log="qemu.log")
    assert failure is not None
    assert (failure.kind, failure.where, failure.log) == ("vmm-exit", "VMM", "qemu.log")
    assert failure.summary.startswith(summary)
    # Its words alone, while it runs, are no failure.
    assert classify.vmm(lines(log), None) is None


def test_recorded_vmm_whose_guest_kvm_refused_to_run() -> None:
    failure = classify.vmm(lines("kvm-vmm"), None)
    assert failure is not None
    assert (failure.kind, failure.summary) == ("kvm-error", "error: kvm run failed Bad address")


def test_vmm_that_ends_without_a_word() -> None:
    killed = classify.vmm([], -9)
    assert killed is not None
    assert (killed.kind, killed.summary) == ("vmm-exit", "QEMU ended with signal 9")
    assert classify.vmm([], 0) is None
    terminated = classify.vmm(lines("vmm-terminated"), -15)
    assert terminated is not None
    assert terminated.summary.startswith("QEMU ended with signal 15: qemu-system-aarch64: term")


def test_recorded_qmp() -> None:
    events = [json.loads(line) for line in lines("kvm-qmp") if line]
    failure = classify.qmp(events)
    assert failure is not None
    assert failure.kind == "kvm-error"
    assert classify.qmp(events[:3]) is None


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}}, None),
        ({"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-reset"}}, "reset"),
        ({"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-panic"}}, "panic"),
        ({"event": "SHUTDOWN", "data": {"guest": False, "reason": "host-signal"}}, None),
        ({"event": "SHUTDOWN", "data": {"guest": False, "reason": "host-error"}}, "vmm-exit"),
        ({"event": "GUEST_PANICKED", "data": {"action": "pause"}}, "panic"),
        ({"return": {}}, None),
    ],
)
def test_qmp_events(event: dict[str, object], kind: str | None) -> None:
    failure = classify.qmp([event])
    assert (failure.kind if failure else None) == kind


# -- what the harness itself sees, and which cause wins ---------------------------------------


def test_silence_names_the_last_line() -> None:
    failure = classify.silence(20, lines("silence-hang"), "L1", "console.log")
    last = "provoke: loading out-of-tree module taints kernel."
    assert failure.summary == f"no output for 20 s; the last line was: {last}"
    assert classify.silence(20, []).summary == "no output for 20 s; it never said a word"


def test_first_cause() -> None:
    l1, l2 = classify.console(lines("kvm-l1"), "L1"), classify.console(lines("kvm-l2"), "L2")
    vmm = classify.vmm(lines("kvm-vmm"), None)
    quiet = classify.silence(20, lines("kvm-l2"), "L2")
    assert classify.first_cause(l1, l2, vmm, quiet) is l1
    assert classify.first_cause(None, l2, vmm, quiet) is vmm
    assert classify.first_cause(None, quiet, vmm) is vmm
    oops, gone = classify.console(lines("oops-then-panic"), "L2"), classify.vmm([], 1)
    assert classify.first_cause(None, gone, oops) is oops
    warn = classify.console(lines("warn"), "L1")
    assert classify.first_cause(warn, quiet) is quiet
    assert classify.first_cause(warn, None) is warn
    assert classify.first_cause(None) is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("kvm-error", Status.FAIL),
        ("panic", Status.FAIL),
        ("soft-lockup", Status.FAIL),
        ("silence", Status.MISS),
        ("deadline", Status.MISS),
        ("vmm-exit", Status.MISS),
        ("no-init", Status.MISS),
        ("disk-full", Status.MISS),
        ("flood", Status.MISS),
    ],
)
def test_whose_fault_a_kind_is(kind: str, status: Status) -> None:
    assert Failure(kind=FailureKind(kind), summary="").status is status


def test_a_row_of_the_table_with_an_unknown_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "failures.toml"
    text = classify.TABLE.read_text(encoding="utf-8")
    table.write_text(text.replace('kind = "serror"', 'kind = "sorrow"'), encoding="utf-8")
    monkeypatch.setattr(classify, "TABLE", table)
    classify._rows.cache_clear()
    with pytest.raises(ValueError, match="sorrow"):
        classify.classes.__wrapped__("kernel")
    classify._rows.cache_clear()


def test_each_row_of_the_table_has_a_source_and_an_effect_that_are_known() -> None:
    for row in classify._rows():
        assert row["source"] in get_args(classify.Source), row
        assert row["effect"] in get_args(classify.Effect), row
        if row["source"] == "kernel":
            assert (row["effect"] == "remark") == FailureKind(row["kind"]).remark, row


def test_each_row_of_silences_names_kinds_that_there_are() -> None:
    for row in classify._rows("silence"):
        assert {FailureKind(kind) for kind in row["kinds"]}, row


# -- foreign text -----------------------------------------------------------------------------


def test_records_hold_no_control_sequences() -> None:
    noisy = [f"\x1b[2J\x1b]0;owned\x07{line}\x1b[31m\x00\u202e" for line in lines("panic")]
    failure = classify.console(noisy)
    assert failure is not None
    assert failure.kind == "panic"
    assert failure.model_dump_json().isascii()
    assert "\\u" not in failure.model_dump_json()


@given(st.lists(st.text(max_size=60), max_size=20))
def test_no_text_raises(text: list[str]) -> None:
    classify.console(text)
    classify.vmm(text, 1)
    classify.silence(1, text)


def test_a_line_of_megabytes_gives_a_short_record() -> None:
    failure = classify.console(["x" * 50 + "Kernel panic - not syncing: " + "A" * (4 << 20)])
    assert failure is not None
    assert len(failure.model_dump_json()) < 2000
