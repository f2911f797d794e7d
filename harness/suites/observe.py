# SPDX-License-Identifier: GPL-2.0-only
"""Observations from the results of one guest: one record a fact. Pure.

A path is the suite, the test's place in the tree, and for a figure its name:
`wcprobe.ioremap_wc.unaligned_load`, `wcprobe.ioremap_wc.throughput.writel`; the host's own check
of what a test stored ends in `.host`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from harness.results.records import UNREACHED, VM_KILLED, Case, Failure, Observation, Status, worst
from harness.suites.cases import case_of, fails_alone, status_of
from harness.suites.facts import (
    Begin,
    CommandError,
    Device,
    Expect,
    Fact,
    Leaf,
    Seen,
    Value,
    Vcpu,
)
from harness.suites.facts import Mapping as MappingFact
from harness.suites.ktap import Document, Test, parse_lines
from harness.suites.pattern import Memory, check_pattern
from harness.suites.vm_facts import complete

OOPSED = "oopsed"  # the value of a test in which the guest's kernel oopsed and went on
RECORDED = "recorded"  # the value of a test that records and does not judge
COMBINING = ("combining", "blocks", "spaced")  # the name of a test, and of its figures
NAMED = 5  # damages, or findings, that a reason names


def observe(
    suite: str,
    lines: Iterable[str],
    limits: Mapping[str, str],
    death: Failure | None,
    bar: Memory | None,
) -> list[Observation]:
    """Return the observations of one guest, which sent `lines`.

    `limits` has the tests that the machine cannot show, each with the reason: a test's path
    (`ioremap.unaligned_load`), its name (`unaligned_load`) or a pattern (`*.unaligned_*`). `death`
    is the failure that ended the guest early. `bar` is the device's memory as the host sees it,
    None for a device whose memory is hidden.
    """
    return observe_suite(suite, lines, limits, death, bar, cases=False)[0]


def observe_suite(
    suite: str,
    lines: Iterable[str],
    limits: Mapping[str, str],
    death: Failure | None,
    bar: Memory | None,
    *,
    cases: bool,
) -> tuple[list[Observation], list[Case]]:
    """Return observe()'s observations and, with `cases`, tests with a mere result line as cases.

    A test with a fact of its own, a value say, stays an observation.
    """
    document = parse_lines(lines)
    observer = _Observer(suite, document, limits, death, cases=cases)
    observer.tests(document.tests, document.plan, "")
    observer.facts()
    observer.combining()
    observer.died()
    observer.host(bar)
    observer.stream()
    return observer.split_cases() if cases else (observer.observations, [])


def limited(needs: Mapping[str, Sequence[str]], limits: Mapping[str, str]) -> dict[str, str]:
    """Return the patterns of `needs` that the machine cannot show, each with the reason."""
    return {
        pattern: "; ".join(limits[name] for name in names if name in limits)
        for pattern, names in needs.items()
        if any(name in limits for name in names)
    }


def merge(guests: Sequence[list[Observation]]) -> list[Observation]:
    """Return the observations of several guests of one cell, each continuing the one before.

    Only the last guest's unreached tests are kept. A path that several guests have (the device,
    say) is kept once, with its worst status.
    """
    merged: dict[str, Observation] = {}
    for index, guest in enumerate(guests):
        for item in guest:
            if index + 1 < len(guests) and item.path.endswith("." + UNREACHED):
                continue
            known = merged.setdefault(item.path, item)
            if worst([known.status, item.status]) is not known.status:
                merged[item.path] = item
    return list(merged.values())


class _Observer:
    def __init__(
        self,
        suite: str,
        document: Document,
        limits: Mapping[str, str],
        death: Failure | None,
        *,
        cases: bool,
    ) -> None:
        self.suite, self.document, self.limits, self.death = suite, document, limits, death
        self.cases = cases
        self.observations: list[Observation] = []
        self._results: dict[str, Test] = {}  # by the path of its observation
        self._by_path: dict[str, Observation] = {}
        self._open = _unfinished(document)

    def add(self, path: str, status: Status, reason: str = "") -> Observation:
        """Add an observation and return it; a path that is taken gets a number (`writel~2`)."""
        full = f"{self.suite}.{path}" if path else self.suite
        count = 2
        while full in self._by_path:
            full = f"{self.suite}.{path}~{count}"
            count += 1
        item = Observation(path=full, status=status)
        if reason:
            item.detail["reason"] = reason
        self._by_path[full] = item
        self.observations.append(item)
        return item

    # -- verdicts -----------------------------------------------------------------------------

    def tests(self, tests: Sequence[Test], plan: int | None, parent: str) -> None:
        """Add the leaves of the tree: a parent's own line only repeats its children's results.

        With `cases` a parent is added as well when it failed and none of its children did.
        """
        for test in tests:
            path = ".".join(filter(None, (parent, _word(test.name))))
            nested = test.children or test.ok is None
            if nested:
                self.tests(test.children, test.plan, path)
            if not nested or (self.cases and fails_alone(test)):
                self._test(path, test)
        missing = (plan or 0) - len(tests)
        # died() adds the test the guest died in.
        missing -= self._open is not None and _parent(self._open) == parent
        if missing > 0:
            unreached = self.add(".".join(filter(None, (parent, UNREACHED))), Status.SKIP)
            unreached.value, unreached.unit = missing, "tests"
            unreached.detail["reason"] = self._unreached()

    def _unreached(self) -> str:
        in_test = f" in {self._open}" if self._open else ""
        end = "the guest died" if self.death else "the stream ended"
        return f"not reached: {end}{in_test}"

    def _test(self, path: str, test: Test) -> None:
        status = status_of(test)
        diagnostics = [_reason(line) for line in test.diagnostics]
        reason = test.reason or ("; ".join(diagnostics) if status is not Status.PASS else "")
        item = self.add(path, status, reason)
        self._results[item.path] = test
        if test.directive:
            item.detail["directive"] = test.directive
        if diagnostics and status is Status.PASS:
            item.detail["diagnostics"] = diagnostics
        limit = self._limit(path)
        if limit and status in (Status.PASS, Status.FAIL):
            item.detail["seen"] = str(status)
            item.detail["reason"] = limit
            item.status = Status.SKIP

    def split_cases(self) -> tuple[list[Observation], list[Case]]:
        """Return the observations, and as cases the result lines of tests without a fact."""
        facts = [f for f in self.document.facts if isinstance(f, Value | Seen | Expect)]
        with_facts = {f"{self.suite}.{fact.test}" for fact in facts}
        plain = self._results.keys() - with_facts
        observations = [o for o in self.observations if o.path not in plain]
        cases = [
            case_of(self.suite, o, self._results[o.path])
            for o in self.observations
            if o.path in plain
        ]
        return observations, cases

    def _limit(self, path: str) -> str:
        for pattern, sentence in self.limits.items():
            if fnmatchcase(path, pattern) or fnmatchcase(path.rpartition(".")[2], pattern):
                return sentence
        return ""

    def died(self) -> None:
        """Add the test that the guest began and that has no result line."""
        if self._open is None:
            return
        item = self.add(self._open, Status.MISS, "no result came: the stream ended in this test")
        if self.death is None:
            return
        item.status = self.death.status
        item.detail["reason"] = self.death.summary
        item.detail["failure"] = self.death.kind
        if item.status is Status.FAIL:
            # A guest that reports the end of its suite is alive: only the test's process died.
            item.value = OOPSED if self.document.ended else VM_KILLED

    # -- facts --------------------------------------------------------------------------------

    def facts(self) -> None:
        """Add the facts, or complete the tests that they belong to."""
        for fact in self.document.facts:
            if isinstance(fact, Value):
                self._value(fact)
            elif isinstance(fact, Seen):
                self._seen(fact)
            elif isinstance(fact, Vcpu | Leaf):
                if test := self._by_path.get(f"{self.suite}.{fact.test}"):
                    complete(test, fact)
            elif isinstance(fact, CommandError):
                reason = f"{fact.command} of the suite failed: {fact.errno}"
                self.add(f"command.{_word(fact.command)}", Status.ERROR, reason)
            elif isinstance(fact, Device):
                device = self.add("device", Status.DONE)
                device.value = fact.bdf
                device.detail.update(vars(fact))
            elif isinstance(fact, MappingFact):
                mapping = self.add(f"{_word(fact.name)}.mapping", Status.DONE)
                mapping.value = fact.name
                mapping.detail.update({k: hex(v) for k, v in vars(fact).items() if k != "name"})

    def _value(self, fact: Value) -> None:
        """Add a figure as an observation of its own, a word as a value of its test."""
        test = self._by_path.get(f"{self.suite}.{fact.test}")
        if fact.unit is None and test is not None:
            if test.value is None:
                test.value = fact.value
            else:
                test.detail[fact.name] = fact.value
            return
        item = self.add(f"{fact.test}.{_word(fact.name)}", Status.DONE)
        item.value, item.unit, item.samples = fact.value, fact.unit, list(fact.samples)
        if fact.unit is not None:
            item.detail["representative"] = fact.representative

    def _seen(self, fact: Seen) -> None:
        """Add a word that is not judged; a PASS of its test without a value becomes DONE."""
        self.add(f"{fact.test}.{_word(fact.name)}", Status.DONE).value = fact.value
        test = self._by_path.get(f"{self.suite}.{fact.test}")
        if test is not None and test.status is Status.PASS and test.value is None:
            test.status, test.value = Status.DONE, RECORDED

    def combining(self) -> None:
        """Decide for each test named `combining` from its samples whether stores are gathered."""
        name, *figures = COMBINING
        tests = [(p, o) for p, o in self._by_path.items() if p.endswith(f".{name}")]
        for path, test in tests:
            samples = [self._by_path.get(f"{path}.{figure}") for figure in figures]
            if test.status is Status.PASS and all(samples):
                _combine(test, [item.samples for item in samples if item])

    # -- the host's side ----------------------------------------------------------------------

    def host(self, bar: Memory | None) -> None:
        """Compare each `expect` line with the device's memory."""
        expects = [fact for fact in self.document.facts if isinstance(fact, Expect)]
        for index, fact in enumerate(expects):
            item = self.add(f"{fact.test}.host", Status.PASS)
            item.detail.update(offset=hex(fact.offset), size=fact.size, seed=hex(fact.seed))
            later = next((e for e in expects[index + 1 :] if _overlap(fact, e)), None)
            reason = ""
            if bar is None:
                reason = "the device's memory cannot be seen from the host"
            elif fact.test == self._open:
                reason = "the guest died before the test was over"
            elif later is not None:
                reason = f"overwritten by {later.test}"
            if reason or bar is None:
                item.status = Status.SKIP
                item.detail["reason"] = reason
            else:
                _check(item, bar, fact, [e.seed for e in expects[:index] if _overlap(fact, e)])

    def stream(self) -> None:
        """Add the stream's irregularities, unless the guest's end explains them."""
        if not self.document.ended:
            if self.death is None and self._open is None:
                self.add("end", Status.MISS, "the suite never said that it was over")
            return
        # A program of cases that was ended at its limit has a TIMEOUT line of its own.
        harmless = ("note", "torn") if self.cases else ("note",)
        findings = [f.text for f in self.document.findings if f.weight not in harmless]
        if findings:
            item = self.add("ktap", Status.ERROR, "; ".join(findings[:NAMED]))
            item.detail["findings"] = findings


def _check(item: Observation, bar: Memory, fact: Expect, older: Sequence[int]) -> None:
    try:
        damages = check_pattern(bar, fact.offset, fact.size, fact.seed, older, fact.fill)
    except ValueError as error:
        item.status = Status.ERROR
        item.detail["reason"] = str(error)
        return
    if damages:
        item.status = Status.FAIL
        named = [str(damage) for damage in damages[:NAMED]]
        more = [f"and {len(damages) - NAMED} more"] if len(damages) > NAMED else []
        item.detail["reason"] = "; ".join(named + more)
        item.detail["damages"] = [str(damage) for damage in damages]


def _combine(test: Observation, samples: Sequence[Sequence[float]]) -> None:
    from harness.suites.combining import ERROR_RATE, decide  # noqa: PLC0415 - it takes scipy

    try:
        decision = decide(*samples)
    except ValueError as error:
        test.status = Status.ERROR
        test.detail["reason"] = str(error)
        return
    test.status, test.value = Status.DONE, decision.word
    test.detail.update(ratio=round(decision.ratio, 3), p=decision.p, error_rate=ERROR_RATE)


def _overlap(a: Expect, b: Expect) -> bool:
    return a.offset < b.offset + b.size and b.offset < a.offset + a.size


def _word(name: str) -> str:
    """Return a test's name as one component of a path."""
    return "_".join(name.split()) or "unnamed"


def _parent(test: str) -> str:
    return test.rpartition(".")[0]


def _reason(line: str) -> str:
    return line.removeprefix("reason:").strip()


def _unfinished(document: Document) -> str | None:
    """Return the test of the last `begin` when it has no result line, else None."""
    begun = last_begun(document.facts)
    if begun is None or begun in _paths(document.tests, ""):
        return None
    return begun


def last_begun(facts: Iterable[Fact]) -> str | None:
    """Return the test that the guest began last, behind which the next guest goes on."""
    return next((f.test for f in reversed(list(facts)) if isinstance(f, Begin)), None)


def _paths(tests: Sequence[Test], parent: str) -> set[str]:
    paths = set()
    for test in tests:
        path = ".".join(filter(None, (parent, _word(test.name))))
        if test.ok is not None:
            paths.add(path)
        paths |= _paths(test.children, path)
    return paths
