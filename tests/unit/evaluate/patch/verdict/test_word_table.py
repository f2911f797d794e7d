# SPDX-License-Identifier: GPL-2.0-only
"""The table of docs/patch.md: pairs of records, as small as they get, and the word on each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.base.paths import PROJECT
from harness.evaluate.patch.verdict.conclude import conclude, headline
from harness.evaluate.patch.verdict.word import Lines
from harness.guests.vmm.vmm import VMM_OUTPUT
from harness.results.compare import Pair
from harness.results.failure_kinds import FailureKind
from harness.results.readings import CensusLeaves, CensusRecord
from harness.results.records import Cell, Failure, Observation, Status
from harness.results.store import cell_path
from harness.suites.failures import classify
from tests.data_files import DATA
from tests.unit.evaluate.patch.patch_cells import cell, saw

HEADING = "| base | patched | word | better | worse | because |"
FIGURE = re.compile(r"(\w+) (\d+) (\S+), (\d+) boots")
LINES = re.compile(r"(\d+) (ran|never|not-built|no-code)")
ENDS = re.compile(r"ends (\S+) in (\w+)( twice)?")


def rows() -> list[tuple[str, str, str, int, int]]:
    """Return the rows of the table, without the last column."""
    text = (PROJECT / "docs/patch.md").read_text().partition(HEADING)[2]
    table = text.partition("\n\n")[0].splitlines()[2:]
    found = []
    for line in table:
        base, patched, word, better, worse = (
            field.strip().strip("`") for field in line.strip("|").split("|")[:5]
        )
        found.append((base, patched, word, int(better), int(worse)))
    return found


def record(kernel: str, text: str, folder: Path) -> Cell:
    """Return the record that `text` describes; its logs are below `folder`."""
    made = cell(kernel)
    facts = [fact.strip() for fact in text.split(";")]
    logs = [fact.split()[1] for fact in facts if fact.startswith("log ")]
    cause = _add_log(made, logs[0], folder) if logs else None
    for fact in facts:
        if not fact.startswith(("log ", "lines ")) and fact != "same":
            _add(made, fact, cause)
    return made


def lines_in(text: str) -> Lines | None:
    """Return what `text` says of the lines that the patched kernel adds."""
    facts = [fact.strip() for fact in text.split(";")]
    told = next((fact for fact in facts if fact.startswith("lines ")), None)
    if told is None:
        return None
    count = {state: int(number) for number, state in LINES.findall(told)}
    return Lines(
        ran=count.get("ran", 0),
        never=count.get("never", 0),
        not_built=count.get("not-built", 0),
        booted="same" not in facts,
    )


def _add_log(made: Cell, name: str, folder: Path) -> Failure | None:
    """Give the record L1's log; return the failure that it shows."""
    place = cell_path(folder, made.name)
    place.mkdir(parents=True)
    text = (DATA / "logs" / f"{name}.log").read_text(errors="replace")
    (place / "console.log").write_text(text)
    made.logs = ["console.log"]
    return classify.console(text.splitlines(), "L1", "console.log")


def _add(made: Cell, fact: str, cause: Failure | None) -> None:
    name, _, word = fact.partition(" ")
    suite = made.suite.name
    if figure := FIGURE.fullmatch(fact):
        made.repeats = int(figure[4])
        samples = [float(figure[2]) + n for n in range(made.repeats)]
        made.observations.append(
            Observation(
                path=f"{suite}.{figure[1]}",
                status=Status.DONE,
                value=samples[0],
                unit=figure[3],
                samples=samples,
            )
        )
    elif ends := ENDS.fullmatch(fact):
        failure = _vmm(ends[1]) if ends[2] == "VMM" else cause
        if failure is None or failure.kind not in (ends[1], FailureKind.VMM_EXIT):
            kind = FailureKind(ends[1])
            failure = Failure(kind=kind, summary=f"{kind} it is", where=ends[2])
        made.failure, made.status = failure, failure.status
        made.retried = [failure] if ends[3] else []
        made.observations.append(_death(f"{suite}.guest", failure, failure.kind))
    elif name == "maps":
        _add_leaves(made, *word.split())
    elif word == "left":
        made.observations.append(
            Observation(path=f"{suite}.not_reached", status=Status.SKIP, value=int(name))
        )
    elif word == "killed":
        assert cause
        made.failure = cause
        made.observations.append(_death(f"{suite}.{name}", made.failure, "vm-killed"))
    else:
        path = name if name.startswith(("audit.", "census.")) else f"{suite}.{name}"
        status = Status(word) if word in set(Status) else Status.DONE
        made.observations.append(saw(path, None if word in set(Status) else word, status))


def _add_leaves(made: Cell, region: str, leaves: str, type_: str) -> None:
    """Add leaves to the record's census."""
    made.census = made.census or CensusRecord(at="x", leaves=0, tables=4, stopped_ms=5.0)
    made.census.kinds.append(
        CensusLeaves(
            region=region,
            memslot=True,
            target="unknown",
            type=type_,
            rights="rw-",
            shareability="inner shareable",
            block=4096,
            leaves=int(leaves),
        )
    )


def _vmm(name: str) -> Failure:
    """Return the end of a VMM, in words that QEMU has said."""
    name = "bad-cpu" if name == FailureKind.VMM_EXIT else name
    lines = (DATA / "logs" / f"vmm-{name}.log").read_text().splitlines()
    failure = classify.vmm(lines, 1, log=f"{VMM_OUTPUT}.log")
    assert failure
    return failure


def _death(path: str, failure: Failure, value: str) -> Observation:
    detail = {"reason": failure.summary, "failure": failure.kind}
    return Observation(path=path, status=failure.status, value=value, detail=detail)


@pytest.mark.parametrize(("base", "patched", "word", "better", "worse"), rows())
def test_the_word_of_each_row(
    base: str, patched: str, word: str, better: int, worse: int, tmp_path: Path
) -> None:
    pair = Pair(record("a", base, tmp_path), record("b", patched, tmp_path))
    told = conclude([pair], (tmp_path, tmp_path), every_figure=False)
    told.lines = lines_in(patched)
    result = told.tally
    assert (result.word.value, result.better, result.worse) == (word, better, worse), told.changes
    assert headline(told)


def test_the_table_is_read() -> None:
    words = {word for _, _, word, _, _ in rows()}
    assert words == {"improved", "regressed", "mixed", "unchanged", "undecided", "not-exercised"}
    assert len(rows()) > 25
