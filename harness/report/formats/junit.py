# SPDX-License-Identifier: GPL-2.0-only
"""A run as JUnit XML: a cell is a test suite, an observation or an expectation a test case.

FAIL is a <failure>; ERROR, MISS and the death of a guest are an <error>, with the log in
<system-out>; SKIP is <skipped>, and so is a failure that the plan asked for, so that a CI system
comes to the run's own verdict. A mere measurement is a property of the suite.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.base.text import clean
from harness.evaluate.patch.between import documents
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.evaluate.patch.verdict.word import Verdict
from harness.report.counted import HEADLINE, counted, kernels
from harness.report.formats import Source
from harness.report.logs import excerpt, log_tail
from harness.report.view.items import Item, items
from harness.results.records import Cell, Status

# Characters that XML 1.0 cannot hold in any form (https://www.w3.org/TR/xml/#charsets).
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARK = "\ufffd"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
EXPECTED = "expected-failure"
COMPARED = "comparison"  # decides nothing in a run of a plan: its expectations do


def render(source: Source) -> str:
    """Return the document; where XML cannot hold a character, U+FFFD stands for it."""
    document = JUnitXml(_fit(source.run.run.id))
    suites = [_suite(cell, source) for cell in source.run.cells]
    compared = documents(source.run, source.folder)
    for suite in [*suites, *(verdict_suite(one, source.run.run.id) for one in compared)]:
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    # update_statistics() sums up the times of test cases, which are not measured.
    for suite, cell in zip(suites, source.run.cells, strict=True):
        suite.time = round(sum(phase.seconds for phase in cell.phases), 3)
    document.time = source.run.run.seconds
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return f"{_HEAD}{text.decode()}\n"


def verdict_suite(document: VerdictDocument, run: str) -> TestSuite:
    """Return the word on two kernels as a suite, each thing that it counts as a test case.

    Only in a run of `s2eval patch`, whose own verdict this is, is what is worse a failure.
    """
    suite = TestSuite(_fit(f"verdict: {kernels(document)}"))
    suite.add_property("verdict", document.verdict.value)
    suite.add_property("headline", _fit(clean(document.headline, HEADLINE)))
    decides = bool(document.run) and document.run == run
    for thing in counted(document):
        message = _fit(thing.text)
        case = TestCase(_fit(thing.change.path), _fit(f"{suite.name}.{thing.title}"))
        if thing.worse and decides:
            case.result = [Failure(message, thing.change.kind.value)]
        elif thing.worse:
            case.result = [Skipped(message, COMPARED)]
        case.system_out = f"{thing.title}: {message}"
        suite.add_testcase(case)
    if document.verdict is Verdict.UNDECIDED and decides:
        case = TestCase("undecided", suite.name)
        case.result = [Error(_fit(line)) for line in document.open]
        suite.add_testcase(case)
    return suite


def _suite(cell: Cell, source: Source) -> TestSuite:
    suite = TestSuite(_fit(cell.name))
    suite.timestamp = source.run.run.started
    for name, value in _facts(cell).items():
        suite.add_property(name, _fit(value))
    for item in items(cell):
        if item.status is not Status.DONE:
            suite.add_testcase(_case(item, cell, source))
        elif item.text:
            suite.add_property(_fit(item.path), _fit(item.text))
    return suite


def _facts(cell: Cell) -> Mapping[str, str]:
    """Return the cell's kernel and machine as properties."""
    kernel, machine = cell.kernel, cell.machine
    facts = {
        "status": cell.status.value,
        "kernel.version": kernel.version,
        "kernel.commit": kernel.commit,
        "kernel.series": " ".join(kernel.series),
        "machine.cpu": machine.cpu,
        "machine.qemu": machine.qemu,
    }
    return {name: value for name, value in facts.items() if value}


def _case(item: Item, cell: Cell, source: Source) -> TestCase:
    # The name of the cell is not split at dots: names of kernels have dots.
    case = TestCase(_fit(item.path), _fit(cell.name))
    if item.seconds is not None:
        case.time = item.seconds
    result = _result(item)
    if result is not None:
        case.result = [result]
    if item.log:
        log = log_tail(cell, source.folder) or excerpt(cell, source.folder)
        if log:
            case.system_out = _fit("\n".join(log))
    if item.log and isinstance(result, Error) and cell.failure:
        result.text = _fit("\n".join(cell.failure.excerpt))
    return case


def _result(item: Item) -> Failure | Error | Skipped | None:
    message, status = _fit(item.text), item.status
    if status is Status.PASS:
        return None
    if item.expected:
        return Skipped(f"{status.value} as expected: {message}", EXPECTED)
    if status is Status.SKIP:
        return Skipped(message)
    if status is Status.FAIL and not item.kind:
        return Failure(message, status.value)
    return Error(f"{status.value}: {message}", _fit(item.kind) or status.value)


def _fit(text: str) -> str:
    return _NO_XML.sub(_MARK, text)
