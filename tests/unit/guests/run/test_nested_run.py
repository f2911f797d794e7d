# SPDX-License-Identifier: GPL-2.0-only
"""How a pass of a suite ends, from lines that real guests wrote, in whatever order they come."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.guests.audit.linux import linux_targets
from harness.guests.audit.run_audit import RunAudit
from harness.guests.run import flat_run, nested_run, suite_run
from harness.guests.run.flat_run import FlatRun
from harness.guests.run.nested_run import NestedRun
from harness.guests.run.suite_run import SuiteRun
from harness.guests.vmm.qemu import QemuVmm
from harness.guests.vmm.vmm import STREAMS
from harness.hosts import event_host
from harness.hosts.events import Event
from harness.hosts.hang.patience import Patience
from harness.hosts.host import HostLost
from harness.hosts.l1.link import L1Link
from harness.hosts.qemu.process import QemuProcess
from harness.hosts.tables import TableReader, TableSource
from harness.results.failure_kinds import FailureKind
from harness.results.places import CpuState, Place
from harness.results.records import Failure
from harness.suites.failures.guest_log import KEPT, LINE_KEPT, GuestLog
from tests.data_files import DATA

pytestmark = pytest.mark.timeout(60)  # a test that has to wait for NEVER has failed

WHOLE = (DATA / "ktap" / "wcprobe.ktap").read_text().rstrip().splitlines()
CUT = (DATA / "ktap" / "wcprobe-nested-6.1-killed.txt").read_text().splitlines()
KVM = "Unsupported FSC: EC=0x24 xFSC=0x21 ESR_EL2=0x93c18021"
ASKS = re.compile("# s2eval: (audit|device) ")  # L1 is asked something when these come
SILENCE = 0.05  # seconds: everything that will be said is said before
STUCK = Place(function="f", el=2, interrupts="masked", where="L1", state=CpuState.STUCK)
NEVER = 1000.0  # seconds; who waits for that has not seen what there was to see


def log(name: str) -> list[str]:
    return (DATA / "logs" / f"{name}.log").read_text(errors="replace").splitlines()


class Recorded(QemuProcess):
    """A QEMU that was: its events are there from the beginning, or come as answers.

    `dead` when L1 answers nothing any more.
    """

    def __init__(self, folder: Path, *, dead: bool = False) -> None:
        super().__init__(folder, folder, [])
        self.dead = dead
        self.sent: list[tuple[str, str]] = []
        self.answers: list[Event] = []  # what comes together with the answer to a command

    def say(self, source: str, lines: Iterable[str | None]) -> None:
        for line in lines:
            self.events.put(Event(source, line))

    def send(self, channel: str, text: str) -> bool:
        self.sent.append((channel, text))
        if channel == "agent" and not self.dead:
            for event in self.answers:
                self.events.put(event)
            ident = text.split(" ", maxsplit=1)[0]
            out = b"0x0 0x0 0x0\n".hex()
            self.say("agent", [f"{ident} 0 .{out} ."])
        return True


@pytest.fixture
def qemu(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for is there already, or never comes."""
    monkeypatch.setattr(nested_run, "LAST_LINES", SILENCE)
    monkeypatch.setattr(flat_run, "DYING_SECONDS", SILENCE)
    monkeypatch.setattr(event_host, "DYING_SECONDS", SILENCE)
    monkeypatch.setattr(nested_run, "ANSWER", SILENCE)
    monkeypatch.setattr(nested_run, "KNOWN_ANSWER", SILENCE)


def flat(qemu: Recorded, silence: float = NEVER) -> SuiteRun:
    return FlatRun(qemu, Patience(silence, silence), lambda: None).finish(Deadline(NEVER))


class NoStub:
    """Page tables that nobody can read: the guest has to go on without."""

    def open(self, _: Deadline) -> AbstractContextManager[TableReader]:
        raise MachineError("no stub")


class RecordedL1(L1Link):
    """An L1 that was: what can be asked of it, and none of its files."""

    bdf = "0000:00:10.0"

    def __init__(self, process: Recorded, silence: float) -> None:
        super().__init__(STREAMS, Patience(silence, silence))
        self.attach(process)

    def put(self, files: Mapping[str, Path | str]) -> dict[str, str]:
        return {name: f"/share/{name}" for name in files}

    def bind(self, driver: str, deadline: Deadline) -> None:
        raise AssertionError("nobody asks for it")

    def tables(self) -> TableSource | None:
        return NoStub()

    def device_memory(self) -> bytes | None:
        return None


def on(qemu: Recorded, silence: float = NEVER) -> NestedRun:
    audit = RunAudit(NoStub(), linux_targets(QemuVmm.memory_map), {})
    return NestedRun(RecordedL1(qemu, silence), QemuVmm(), audit)


def nested(qemu: Recorded, silence: float = NEVER) -> SuiteRun:
    """The whole of a nested pass, from the start of L2 on."""
    run = on(qemu, silence)
    try:
        run.start("sh /share/l2", Deadline(NEVER))
        return run.finish(Deadline(NEVER))
    except HostLost as lost:
        return run.lost(lost)


# -- flat -------------------------------------------------------------------------------------


def test_a_flat_guest_that_ends_well(qemu: Recorded) -> None:
    qemu.say("console", log("clean"))
    qemu.say("results", [*WHOLE, "", "", None])
    qemu.say("qemu", [None])
    run = flat(qemu)
    assert (run.failure, run.ended, run.lines) == (None, True, WHOLE)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("panic", "panic"),
        ("oops-then-panic", "oops"),
        ("serror", "serror"),
        ("soft-lockup", "soft-lockup"),
        ("rcu-stall", "rcu-stall"),
        ("no-root", "no-init"),
        ("oom-init", "oom"),
        ("abort", "external-abort"),
        ("bug", "bug"),
    ],
)
def test_a_flat_guest_that_fails_before_its_end(qemu: Recorded, name: str, kind: str) -> None:
    qemu.say("results", CUT)
    qemu.say("console", log(name))
    qemu.say("qemu", [None])
    run = flat(qemu)
    assert run.failure
    assert (run.failure.kind, run.failure.where, run.failure.log) == (kind, "L1", "console.log")
    assert run.lines == CUT


def test_a_kernel_that_says_that_it_is_lost_is_not_waited_for(qemu: Recorded) -> None:
    qemu.say("results", CUT[:-1])
    qemu.say("console", log("soft-lockup"))
    qemu.say("results", CUT[-1:])  # was on its way
    run = flat(qemu)
    assert run.failure and run.failure.kind == "soft-lockup"
    assert run.lines == CUT


def test_an_oops_that_is_survived_counts_and_a_warning_does_not(qemu: Recorded) -> None:
    for name in ("oops-survived", "warn"):
        qemu.say("results", WHOLE)
        qemu.say("console", log(name))
        qemu.say("qemu", [None])
        run = flat(qemu)
        assert run.ended
        assert (run.failure.kind if run.failure else None) == ("oops" if "oops" in name else None)


def test_silence_and_the_deadline_are_told_apart(qemu: Recorded) -> None:
    qemu.say("console", log("silence-hang"))
    run = flat(qemu, SILENCE)
    assert run.failure and run.failure.kind == "silence"
    qemu.say("console", ["[ 1.0] still here"] * 3)
    run = FlatRun(qemu, Patience(10, 10), lambda: None).finish(Deadline(SILENCE))
    assert run.failure and run.failure.kind == "deadline"
    assert "the suite was not done" in run.failure.summary


def test_a_guest_that_powers_off_before_its_end(qemu: Recorded) -> None:
    qemu.say("results", CUT)
    qemu.say("qemu", [None])
    run = flat(qemu)
    assert run.failure and run.failure.kind == "vmm-exit"


def test_a_suite_that_says_too_much_is_stopped(
    qemu: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_run, "RESULTS_LIMIT", 1000)
    qemu.say("results", ["x" * 100] * 50)
    run = flat(qemu)
    assert run.failure and run.failure.kind == "flood" and len(run.lines) == 9


# -- nested -----------------------------------------------------------------------------------

# One event after the other of what L2 says, and L1 about it; each list in its own order.
KILLED = {
    "l2.results": CUT,
    "l2.console": log("kvm-l2"),
    "l2.vmm": log("kvm-vmm"),
    "console": log("kvm-l1")[-1:],
}


@pytest.mark.parametrize("order", list(itertools.permutations(KILLED)), ids=" ".join)
def test_an_l2_that_kvm_kills_in_whatever_order_it_is_read(
    qemu: Recorded, order: tuple[str, ...]
) -> None:
    for source in order:
        qemu.say(source, KILLED[source])
    # What KVM_RUN's error says comes last; before it nothing has ended.
    run = nested(qemu)
    assert run.failure
    assert (run.failure.kind, run.failure.where) == ("kvm-error", "L1")
    assert KVM in run.failure.summary
    assert run.lines == CUT


ENDED = {
    "l2.results": [*WHOLE, "", ""],
    "l2.console": ["[    1.0] reboot: Power down"],
    "l2.vmm": ["", "s2eval: job-exit 0"],
    "l2.kmsg": log("clean"),
}


@pytest.mark.parametrize("order", list(itertools.permutations(ENDED)), ids=" ".join)
def test_an_l2_that_ends_well_in_whatever_order_it_is_read(
    qemu: Recorded, order: tuple[str, ...]
) -> None:
    for source in order:
        qemu.say(source, ENDED[source])
    run = nested(qemu)
    assert (run.failure, run.ended, run.lines) == (None, True, WHOLE)


def test_what_l2_says_before_its_start_was_answered_is_not_lost(qemu: Recorded) -> None:
    words = ["qemu-system-aarch64: -accel kvm: failed to initialize kvm: No such file or directory"]
    qemu.answers = [Event("l2.vmm", line) for line in (*words, "", "s2eval: job-exit 1")]
    run = nested(qemu)
    assert run.failure
    assert (run.failure.kind, run.failure.summary) == ("vmm-exit", words[0])


@pytest.mark.parametrize(
    ("words", "status", "summary"),
    [
        ([], 0, "L2 powered off before its suite had ended"),
        (["vfio-pci did not take 0000:00:10.0"], 1, "vfio-pci did not take 0000:00:10.0"),
        ([], 137, "QEMU ended with exit code 137"),
    ],
)
def test_a_vmm_that_ends_too_soon(
    qemu: Recorded, words: list[str], status: int, summary: str
) -> None:
    qemu.say("l2.results", CUT)
    qemu.say("l2.vmm", [*words, "", f"s2eval: job-exit {status}"])
    run = nested(qemu)
    assert run.failure and run.failure.kind == "vmm-exit"
    assert summary in run.failure.summary


def test_an_oops_of_l2_or_of_l1_counts_though_the_suite_ended(tmp_path: Path) -> None:
    for source, where in (("l2.console", "L2"), ("console", "L1")):
        qemu = Recorded(tmp_path)
        qemu.say("l2.results", WHOLE)
        qemu.say("l2.vmm", ["s2eval: job-exit 0"])
        qemu.say(source, log("oops-survived"))
        run = nested(qemu)
        assert run.ended and run.failure
        assert (run.failure.kind, run.failure.where) == ("oops", where)


def test_an_l1_that_panics_takes_l2_along_and_its_results_are_kept(qemu: Recorded) -> None:
    qemu.say("l2.results", CUT[:-1])
    qemu.say("console", log("panic"))
    qemu.say("l2.results", CUT[-1:])  # was on its way
    qemu.say("qemu", [None])
    run = nested(qemu)
    assert run.failure and (run.failure.kind, run.failure.where) == ("panic", "L1")
    assert run.lines == CUT


def test_an_l1_that_is_gone_while_a_command_is_waited_for(qemu: Recorded) -> None:
    qemu.dead = True
    qemu.say("console", log("oops-then-panic"))
    qemu.say("qemu", [None])
    run = nested(qemu)
    assert run.failure and (run.failure.kind, run.failure.where) == ("oops", "L1")


def test_silence_is_l2s_while_l1_answers(tmp_path: Path) -> None:
    qemu = Recorded(tmp_path)
    qemu.say("l2.results", CUT)
    run = nested(qemu, SILENCE)
    assert run.failure and (run.failure.kind, run.failure.where) == ("silence", "L2")
    gone = Recorded(tmp_path)
    late = on(gone, SILENCE)
    late.start("sh /share/l2", Deadline(5))
    gone.dead = True
    gone.say("l2.results", [line for line in CUT if not ASKS.search(line)])
    run = late.finish(Deadline(10))
    assert run.failure and (run.failure.kind, run.failure.where) == ("silence", "L1")


def test_the_guest_is_let_go_on_after_each_audit(qemu: Recorded) -> None:
    asked = sum("# s2eval: audit " in line for line in CUT)
    assert asked == 3
    qemu.say("l2.results", CUT)
    qemu.say("l2.vmm", ["s2eval: job-exit 0"])
    nested(qemu)
    assert qemu.sent.count(("l2.results", "audited\n")) == asked


def commands(qemu: Recorded) -> list[str]:
    """What L1's agent was told to do."""
    told = [text.split()[1] for channel, text in qemu.sent if channel == "agent"]
    return [bytes.fromhex(one).decode() for one in told]


def test_the_vmm_is_known_by_its_pid(qemu: Recorded) -> None:
    run = on(qemu, SILENCE)
    run.start("sh /share/l2", Deadline(5))
    assert commands(qemu)[-1] == "</sys/bus/pci/devices/0000:00:10.0/resource"
    qemu.say("l2.vmm", ["s2eval: job-pid 42"])
    qemu.say("l2.results", CUT)
    run.finish(Deadline(10))
    assert "</proc/42/maps" in commands(qemu)
    qemu.say("l2.vmm", ["", "s2eval: job-exit 137"])
    assert run.stop(Deadline(5))
    assert commands(qemu)[-1] == "kill -9 42"


def test_a_vmm_that_was_not_started_yet_is_not_killed(qemu: Recorded) -> None:
    run = on(qemu, SILENCE)
    run.start("sh /share/l2", Deadline(5))
    assert not run.stop(Deadline(SILENCE))
    assert not any("kill" in command for command in commands(qemu))


def test_the_guest_is_told_that_its_end_was_heard(qemu: Recorded) -> None:
    qemu.say("l2.results", CUT)
    qemu.say("l2.vmm", ["s2eval: job-exit 1"])
    nested(qemu)
    assert ("l2.results", "ended\n") not in qemu.sent
    qemu.say("l2.results", WHOLE)
    qemu.say("l2.vmm", ["s2eval: job-exit 0"])
    nested(qemu)
    assert qemu.sent.count(("l2.results", "ended\n")) == 1


def test_an_agent_that_talks_nonsense_is_a_fault_of_the_machine(qemu: Recorded) -> None:
    qemu.dead = True
    qemu.say("agent", ["1 0 !"])
    with pytest.raises(MachineError, match="L1's agent answered '1 0 !'"):
        nested(qemu)


# -- logs -------------------------------------------------------------------------------------


def test_a_log_keeps_what_stands_around_the_failure() -> None:
    kept = GuestLog("L2", "l2.console.log")
    for n in range(3 * KEPT):
        kept.feed(f"[ 1.0] line {n} " + "x" * 2 * LINE_KEPT)
    kept.feed("[ 2.0] Kernel panic - not syncing: at last")
    for n in range(3 * KEPT):
        kept.feed(f"[ 3.0] trace {n}")
    assert len(kept.lines) == 2 * KEPT
    assert max(map(len, kept.lines)) == LINE_KEPT
    failure = kept.failure()
    assert failure and failure.kind == "panic" and "at last" in failure.summary
    assert f"line {3 * KEPT - 1} " in failure.excerpt[2]


def test_the_tables_are_closed_before_the_cpus_are_looked_at(qemu: Recorded) -> None:
    """QEMU's gdb stub serves one connection at a time."""
    order: list[str] = []

    class Audit(RunAudit):
        def release(self) -> None:
            order.append("release")

    class L1(RecordedL1):
        def look(self) -> None:
            order.append("look")

    audit = Audit(NoStub(), linux_targets(QemuVmm.memory_map), {})
    run = NestedRun(L1(qemu, SILENCE), QemuVmm(), audit)
    run.start("sh /share/l2", Deadline(NEVER))
    ended = run.finish(Deadline(NEVER))
    assert ended.failure and ended.failure.kind == "silence"
    assert order == ["release", "look"]


def stuck_l1(qemu: Recorded) -> RecordedL1:
    """An L1 that prints nothing, with a CPU that is stuck."""

    class L1(RecordedL1):
        def look(self) -> Place:
            return STUCK

    return L1(qemu, SILENCE)


def test_an_l1_that_does_not_come_up_is_told_with_its_place(qemu: Recorded) -> None:
    qemu.say("console", log("silence-hang"))
    with pytest.raises(HostLost) as lost:
        stuck_l1(qemu).wait_ready(Deadline(NEVER, key="boot of the machine"))
    failure = lost.value.failure
    assert (failure.kind, failure.where, failure.place) == ("silence", "L1", STUCK)
    assert failure.summary.endswith("; f in L1, EL2, interrupts masked")
    with pytest.raises(HostLost) as lost:
        stuck_l1(qemu).wait_ready(Deadline(0, key="boot of the machine"))
    assert lost.value.failure.summary.endswith(" (limit: boot of the machine)")


def test_a_lockup_that_the_kernel_tells_has_its_place(qemu: Recorded) -> None:
    qemu.say("console", log("soft-lockup"))
    with pytest.raises(HostLost) as lost:
        stuck_l1(qemu).wait_ready(Deadline(NEVER))
    assert (lost.value.failure.kind, lost.value.failure.place) == ("soft-lockup", STUCK)


@pytest.mark.parametrize(("dead", "where"), [(True, "L1"), (False, "L2")])
def test_a_silent_guest_is_told_with_the_place(qemu: Recorded, dead: bool, where: str) -> None:
    """Whether L1 answers decides whose log is shown, not what was seen."""
    audit = RunAudit(NoStub(), linux_targets(QemuVmm.memory_map), {})
    run = NestedRun(stuck_l1(qemu), QemuVmm(), audit)
    run.start("sh /share/l2", Deadline(NEVER))
    qemu.dead = dead
    failure = run.finish(Deadline(NEVER)).failure
    assert failure and (failure.kind, failure.where, failure.place) == ("silence", where, STUCK)
    # The guest cannot be ended then either: what was seen first stays.
    late = Failure(kind=FailureKind.DEADLINE, summary="'kill -9 36' was not done", where="L1")
    assert run.lost(HostLost(late)).failure == failure
    panic = Failure(kind=FailureKind.PANIC, summary="Kernel panic", where="L1")
    assert run.lost(HostLost(panic)).failure == panic


def test_a_host_that_is_idle_waits_for_its_guest(qemu: Recorded) -> None:
    class L1(RecordedL1):
        def look(self) -> Place:
            return STUCK.model_copy(update={"state": CpuState.IDLE, "function": ""})

    audit = RunAudit(NoStub(), linux_targets(QemuVmm.memory_map), {})
    run = NestedRun(L1(qemu, SILENCE), QemuVmm(), audit)
    run.start("sh /share/l2", Deadline(NEVER))
    failure = run.finish(Deadline(NEVER)).failure
    assert failure and failure.place and failure.place.where == "L2"
    assert "; all CPUs idle in L2" in failure.summary
