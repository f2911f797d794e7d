# SPDX-License-Identifier: GPL-2.0-only
"""A run as KTAP version 1: kernel, machine, suite and test, each nested in the one before.

Source: Documentation/dev-tools/ktap.rst. An expected failure is `ok … # XFAIL`, as kselftest
prints it, so that a parser that does not know the directive comes to the run's own verdict.
A mere measurement is no test: it is a diagnostic line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.base.text import clean
from harness.report.formats import Source
from harness.report.logs import excerpt
from harness.report.view.items import WHOLE, Item, items
from harness.results.records import Cell, Status

TIMEOUTS = ("silence", "deadline")  # kinds of failures


@dataclass
class _Test:
    """A result line, the diagnostic lines before it and the tests nested in it."""

    name: str
    ok: bool
    directive: str = ""
    reason: str = ""
    diagnostics: list[str] = field(default_factory=list)
    tests: list[_Test] = field(default_factory=list)


def render(source: Source) -> str:
    """Return the document: kernels, machines, suites and tests are its four levels."""
    tree: dict[str, dict[str, list[_Test]]] = {}
    for cell in source.run.cells:
        machines = tree.setdefault(cell.kernel.name, {})
        machines.setdefault(cell.machine.name, []).append(_suite(cell, source))
    kernels = [
        _group(kernel, [_group(machine, tests) for machine, tests in machines.items()])
        for kernel, machines in tree.items()
    ]
    return "\n".join(_lines(kernels)) + "\n"


def _lines(tests: Sequence[_Test]) -> list[str]:
    lines = ["KTAP version 1", f"1..{len(tests)}"]
    for number, test in enumerate(tests, 1):
        if test.tests:
            lines += [f"  {line}" for line in _lines(test.tests)]
        # After a bare "# ", as kselftest nests tests, a guest's line could pass for a result.
        lines += [f"# | {line}".rstrip() for line in test.diagnostics]
        note = " ".join(filter(None, (test.directive, test.reason)))
        result = f"{'ok' if test.ok else 'not ok'} {number} {_name(test.name)}"
        lines.append(f"{result} # {note}" if note else result)
    return lines


def _name(text: str) -> str:
    """Return a test's description: not empty, and without '#', which begins a directive."""
    return clean(text).replace("#", "_") or "unnamed"


def _group(name: str, tests: list[_Test]) -> _Test:
    skipped = bool(tests) and all(test.directive == "SKIP" for test in tests)
    directive = "SKIP" if skipped else ""
    return _Test(name, all(test.ok for test in tests), directive, tests=tests)


def _suite(cell: Cell, source: Source) -> _Test:
    cell_items = items(cell)
    tests = [_test(item, cell, source) for item in cell_items if item.status is not Status.DONE]
    tests = tests or [_Test(WHOLE, ok=True)]
    suite = _group(cell.suite.name, tests)
    measured = [item for item in cell_items if item.status is Status.DONE]
    suite.diagnostics = [clean(f"{item.path}: {item.text}") for item in measured if item.text]
    return suite


def _test(item: Item, cell: Cell, source: Source) -> _Test:
    test = _Test(item.path, ok=True)
    if item.status is Status.SKIP:
        test.directive, test.reason = "SKIP", item.text
    elif item.status is not Status.PASS:
        # The status is first, because the reason may begin with a directive's word.
        test.reason = f"{item.status.value}: {item.text}"
        test.ok = item.expected
        test.directive = "XFAIL" if item.expected else _directive(item)
    if item.log:
        test.diagnostics = excerpt(cell, source.folder)
    return test


def _directive(item: Item) -> str:
    """Return the directive of a bad item: none for FAIL, which is the kernel's fault."""
    if item.status is Status.FAIL:
        return ""
    return "TIMEOUT" if item.kind in TIMEOUTS else "ERROR"
