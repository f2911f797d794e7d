# SPDX-License-Identifier: GPL-2.0-only
"""What a patch changed: as facts (results/compare.py) and as a sentence (report/sentence.py)."""

from __future__ import annotations

from harness.report.view.sentence import fill, sentences
from harness.results.compare import Pair, PathChange, difference, pairs
from harness.results.failure_kinds import FailureKind
from harness.results.readings import AuditRecord
from harness.results.records import (
    Cell,
    Comparison,
    Failure,
    HostInfo,
    KernelRecord,
    MachineRecord,
    Observation,
    Run,
    RunInfo,
    Status,
    SuiteRecord,
)

NC, NGNRE, BOTH = "Normal-NC", "Device-nGnRE", "Device-nGnRnE or Device-nGnRE"


def cell(kernel: str, *found: Observation, machine: str = "m", suite: str = "s") -> Cell:
    return Cell(
        name=f"{kernel}/{machine}/{suite}",
        kernel=KernelRecord(name=kernel),
        machine=MachineRecord(
            name=machine, topology="nested", accel="tcg", cpu="max", smp=2, memory_mib=2048
        ),
        suite=SuiteRecord(name=suite),
        status=Status.PASS,
        observations=list(found),
    )


def saw(path: str, value: str | None = None, status: Status = Status.PASS) -> Observation:
    return Observation(path=path, status=status, value=value)


def audited(mapping: str, stage2: str | None, combined: str | None = None) -> list[Observation]:
    """The observations of one audit; None: no leaf."""
    verdict = saw(f"audit.{mapping}", status=Status.PASS if stage2 else Status.SKIP)
    found = [verdict]
    for stage, value in (("stage2", stage2), ("combined", combined or stage2)):
        if value is not None:
            found.append(saw(f"audit.{mapping}.{stage}", value, Status.DONE))
            if " or " in value:
                found[-1].detail["ambiguous"] = True
    return found


def changes(before: list[Observation], after: list[Observation]) -> list[PathChange]:
    return difference(Pair(cell("a", *before), cell("b", *after))).changes


def sentence(before: list[Observation], after: list[Observation]) -> list[str]:
    ((head, *clauses),) = sentences([Pair(cell("a", *before), cell("b", *after))])
    assert head == "a -> b on m:"
    return clauses


# -- facts ------------------------------------------------------------------------------------


def test_one_of_two_readings_is_no_change() -> None:
    for before, after in ((BOTH, NGNRE), (NGNRE, BOTH), (BOTH, BOTH)):
        assert changes(audited("np", NGNRE, before), audited("np", NGNRE, after)) == []
    found = changes(audited("np", NGNRE, BOTH), audited("np", NGNRE, NC))
    assert found == [PathChange("audit.np.combined", BOTH, NC)]


def test_a_word_with_or_in_it_has_one_reading() -> None:
    found = changes([saw("s.t", "works or not")], [saw("s.t", "works")])
    assert found == [PathChange("s.t", "works or not", "works")]


def test_audits_are_compared_once() -> None:
    before, after = cell("a", *audited("wc", NGNRE, NC)), cell("b", *audited("wc", NC, NC))
    before.audits = [AuditRecord(mapping="wc", stage2=NGNRE)]
    after.audits = [AuditRecord(mapping="wc", stage2=NC)]
    found = difference(Pair(before, after))
    assert found.changes == [PathChange("audit.wc.stage2", NGNRE, NC)]
    assert found.unchanged == 2  # the verdict and the combined type


def test_a_verdict_that_follows_from_a_type_is_not_told() -> None:
    before = audited("wc", NGNRE)
    before[0].status = Status.FAIL
    assert [c.path for c in changes(before, audited("wc", NC))] == [
        "audit.wc.stage2",
        "audit.wc.combined",
    ]
    # Nothing but the verdict changed: permissions, say.
    assert changes(before, audited("wc", NGNRE)) == [PathChange("audit.wc", "FAIL", "PASS")]


def test_two_looks_at_stage_1_are_one_change() -> None:
    def looks(value: str) -> list[Observation]:
        return [saw("s.wc.stage1", value), saw("audit.wc.stage1", value, Status.DONE)]

    assert changes(looks(NC), looks(NGNRE)) == [PathChange("s.wc.stage1", NC, NGNRE)]
    only = changes([looks(NC)[0], looks(NC)[1]], [looks(NC)[0], looks(NGNRE)[1]])
    assert only == [PathChange("audit.wc.stage1", NC, NGNRE)]


def test_why_there_is_no_type() -> None:
    there = audited("wc", NC)
    found = {c.path: c.after for c in changes(there, audited("wc", None))}
    assert found["audit.wc.stage2"] == "no leaf"
    missed = [saw("audit.wc", status=Status.MISS)]
    assert {c.path: c.after for c in changes(there, missed)}["audit.wc.stage2"] == "MISS"
    assert {c.path: c.after for c in changes(there, [])}["audit.wc.stage2"] == "not observed"


# -- sentences --------------------------------------------------------------------------------


def test_behaviour_comes_first_and_audits_are_grouped() -> None:
    names = ("ioremap", "ioremap_np", "ioremap_wc")
    base = [o for n in names for o in audited(n, NGNRE, NGNRE)]
    patched = [o for n in names for o in audited(n, NC, NC if n == "ioremap_wc" else NGNRE)]
    base += [saw("s.ioremap_wc.unaligned_load", "vm-killed", Status.FAIL), saw("s.same", "works")]
    patched += [
        saw("s.ioremap_wc.unaligned_store", "works"),
        saw("s.ioremap_wc.unaligned_load", "works"),
        saw("s.same", "works"),
    ]
    assert sentence(base, patched) == [
        "ioremap_wc.unaligned_load: VM killed -> works;",
        "ioremap_wc.unaligned_store: not observed -> works;",
        "stage 2 of ioremap, ioremap_np, ioremap_wc: Device-nGnRE -> Normal-NC;",
        "effective type of ioremap_wc: Device-nGnRE -> Normal-NC;",
        "6 unchanged",
    ]


def test_the_same_change_in_many_places_is_one_clause() -> None:
    before = [saw(f"s.{n}.t", "works") for n in "abcdef"]
    after = [saw(f"s.{n}.t", "faults") for n in "abcdef"]
    assert sentence(before, after) == [
        "a.t, b.t, c.t, d.t and 2 more: works -> guest faults;",
        "0 unchanged",
    ]


def test_verdicts_in_words() -> None:
    def verdicts(audit: Status, witness: Status) -> list[Observation]:
        return [saw("audit.wc", status=audit), saw("witness.wc", status=witness)]

    told = sentence(verdicts(Status.PASS, Status.PASS), verdicts(Status.FAIL, Status.FAIL))
    assert told == [
        "audit of wc: PASS -> FAIL;",
        "witnesses of wc: agree -> disagree;",
        "0 unchanged",
    ]


def test_many_changes_are_counted() -> None:
    before = [saw(f"s.t{n}", f"w{n}") for n in range(15)]
    after = [saw(f"s.t{n}", "x") for n in range(15)]
    told = sentence(before, after)
    assert told[11:] == ["t11: w11 -> x;", "3 more changes;", "0 unchanged"]


def test_nothing_changed() -> None:
    assert sentence([saw("s.t", "works")], [saw("s.t", "works")]) == ["nothing changed"]


def test_nothing_to_compare_says_why() -> None:
    dead = cell("a")
    dead.status, dead.failure = Status.MISS, Failure(kind=FailureKind.SILENCE, summary="")
    found = sentences([Pair(dead, cell("b", saw("s.t")))])
    assert found == [["a -> b on m:", "nothing to compare, a is MISS: silence"]]


def test_machines_with_the_same_change_share_a_sentence() -> None:
    cells = [
        cell(kernel, saw("s.t", value), machine=machine)
        for kernel, value in (("a", "faults"), ("b", "works"))
        for machine in ("m1", "m2")
    ]
    odd = [cell("a", saw("s.t", "works"), machine="m3"), cell("b", saw("s.t"), machine="m3")]
    heads = [clauses[0] for clauses in sentences(pairs(a_run(*cells, *odd)))]
    assert heads == ["a -> b on m1, m2:", "a -> b on m3:"]


def test_suites_are_named_when_there_are_several() -> None:
    cells = [cell(k, saw(f"{s}.t", k), suite=s) for k in "ab" for s in ("s", "t")]
    heads = [clauses[0] for clauses in sentences(pairs(a_run(*cells)))]
    assert heads == ["a -> b, s on m:", "a -> b, t on m:"]


def a_run(*cells: Cell) -> Run:
    host = HostInfo(system="Linux", machine="x86_64", cpus=2, python="3.11", s2eval="0")
    run = Run(run=RunInfo(id="r", plan="", started="", host=host), status=Status.PASS)
    run.cells = list(cells)
    run.run.comparisons = [Comparison(base="a", patched="b")]
    return run


# -- lines ------------------------------------------------------------------------------------


def test_clauses_stay_in_one_piece_where_they_fit() -> None:
    clauses = ["a -> b on m:", "one: x -> y;", "two: x -> y;", "3 unchanged"]
    assert fill(clauses, 80) == "a -> b on m: one: x -> y; two: x -> y; 3 unchanged"
    assert fill(clauses, 28) == "a -> b on m: one: x -> y;\n  two: x -> y; 3 unchanged"
    assert fill(clauses, 16) == "a -> b on m:\n  one: x -> y;\n  two: x -> y;\n  3 unchanged"


def test_a_long_clause_is_folded() -> None:
    long = "stage 2 of ioremap, ioremap_np: Device-nGnRE -> Normal-NC"
    assert fill(["a -> b:", long], 40) == (
        "a -> b:\n  stage 2 of ioremap, ioremap_np:\n    Device-nGnRE -> Normal-NC"
    )
    assert max(len(line) for line in fill([long, "more"], 30).splitlines()) <= 30
