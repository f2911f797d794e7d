# SPDX-License-Identifier: GPL-2.0-only
"""From what one guest said to observations: one record a fact. Pure.

A path is the suite, the test's place in the tree, and for a figure its name:
`wcprobe.ioremap_wc.unaligned_load`, `wcprobe.ioremap_wc.throughput.writel`; the host's own check
of what a test stored ends in `.host`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from harness.results.records import UNREACHED, VM_KILLED, Case, Failure, Observation, Status, worst
from harness.suites.cases import case_of, fails_alone, status_of
from harness.suites.facts import Begin, CommandError, Device, Expect, Fact, Seen, Value
from harness.suites.facts import Mapping as MappingFact
from harness.suites.ktap import Document, Test, parse_lines
from harness.suites.pattern import Memory, check_pattern

OOPSED = "oopsed"  # the value of a test that the guest's kernel did not survive whole
RECORDED = "recorded"  # the value of a test that judges nothing
COMBINING = ("combining", "blocks", "spaced")  # a test, and its figures
TOLD = 5  # damages that a reason names


def observe(
    suite: str,
    lines: Iterable[str],
    limits: Mapping[str, str],
    death: Failure | None,
    bar: Memory | None,
) -> list[Observation]:
    """Return the observations of one guest, which sent `lines`.

    `limits` says what the machine cannot show: a test (`ioremap.unaligned_load`), the name of
    one (`unaligned_load`) or a pattern (`*.unaligned_*`), and the sentence why. `death` is what
    ended the guest early. `bar` is the device's memory as the host sees it, None if it has none.
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
    """Return what observe() does and, with `cases`, apart the tests that said only ok or not ok.

    A test of which the guest told more, a value say, stays an observation.
    """
    document = parse_lines(lines)
    observer = _Observer(suite, document, limits, death, cases=cases)
    observer.tests(document.tests, document.plan, "")
    observer.facts()
    observer.combining()
    observer.died()
    observer.host(bar)
    observer.stream()
    return observer.apart() if cases else (observer.found, [])


def limited(needs: Mapping[str, Sequence[str]], limits: Mapping[str, str]) -> dict[str, str]:
    """Return for each pattern of a suite's `needs` why the machine cannot show that, if so."""
    return {
        pattern: "; ".join(limits[name] for name in names if name in limits)
        for pattern, names in needs.items()
        if any(name in limits for name in names)
    }


def merge(guests: Sequence[list[Observation]]) -> list[Observation]:
    """Return the observations of several guests of one cell, each going on after the one before.

    What an earlier guest did not reach is told by the last one; the same path twice (the
    device, say) is told once, at its worst.
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
        self.found: list[Observation] = []
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
        made = Observation(path=full, status=status)
        if reason:
            made.detail["reason"] = reason
        self._by_path[full] = made
        self.found.append(made)
        return made

    # -- verdicts -----------------------------------------------------------------------------

    def tests(self, tests: Sequence[Test], plan: int | None, parent: str) -> None:
        """Add the leaves of the tree: a parent's own line only repeats what its children say.

        But a program of several cases may fail although none of them does.
        """
        for test in tests:
            path = ".".join(filter(None, (parent, _word(test.name))))
            nested = test.children or test.ok is None
            if nested:
                self.tests(test.children, test.plan, path)
            if not nested or (self.cases and fails_alone(test)):
                self._test(path, test)
        missing = (plan or 0) - len(tests)
        # The test the guest died in is told by died().
        missing -= self._open is not None and _parent(self._open) == parent
        if missing > 0:
            what = self.add(".".join(filter(None, (parent, UNREACHED))), Status.SKIP)
            what.value, what.unit = missing, "tests"
            what.detail["reason"] = self._unreached()

    def _unreached(self) -> str:
        where = f" in {self._open}" if self._open else ""
        end = "the guest died" if self.death else "the stream ended"
        return f"not reached: {end}{where}"

    def _test(self, path: str, test: Test) -> None:
        status = status_of(test)
        said = [_reason(line) for line in test.diagnostics]
        reason = test.reason or ("; ".join(said) if status is not Status.PASS else "")
        made = self.add(path, status, reason)
        self._results[made.path] = test
        if test.directive:
            made.detail["directive"] = test.directive
        if said and status is Status.PASS:
            made.detail["diagnostics"] = said
        limit = self._limit(path)
        if limit and status in (Status.PASS, Status.FAIL):
            made.detail["seen"] = str(status)
            made.detail["reason"] = limit
            made.status = Status.SKIP

    def apart(self) -> tuple[list[Observation], list[Case]]:
        """Return the observations, and apart the results of tests that no fact tells more of."""
        told = {f.test for f in self.document.facts if isinstance(f, Value | Seen | Expect)}
        more = {f"{self.suite}.{test}" for test in told}
        plain = {o.path for o in self.found if o.path in self._results and o.path not in more}
        observations = [o for o in self.found if o.path not in plain]
        cases = [
            case_of(self.suite, o, self._results[o.path]) for o in self.found if o.path in plain
        ]
        return observations, cases

    def _limit(self, path: str) -> str:
        for pattern, sentence in self.limits.items():
            if fnmatchcase(path, pattern) or fnmatchcase(path.rpartition(".")[2], pattern):
                return sentence
        return ""

    def died(self) -> None:
        """Add the test that announced itself and never came back."""
        if self._open is None:
            return
        made = self.add(self._open, Status.MISS, "no result came: the stream ended in this test")
        if self.death is None:
            return
        made.status = self.death.status
        made.detail["reason"] = self.death.summary
        made.detail["failure"] = self.death.kind
        if made.status is Status.FAIL:
            # A guest that says that its suite is over is alive: only the test's process is not.
            made.value = OOPSED if self.document.ended else VM_KILLED

    # -- facts --------------------------------------------------------------------------------

    def facts(self) -> None:
        for fact in self.document.facts:
            if isinstance(fact, Value):
                self._value(fact)
            elif isinstance(fact, Seen):
                self._seen(fact)
            elif isinstance(fact, CommandError):
                reason = f"{fact.command} of the suite failed: {fact.errno}"
                self.add(f"command.{_word(fact.command)}", Status.ERROR, reason)
            elif isinstance(fact, Device):
                made = self.add("device", Status.DONE)
                made.value = fact.bdf
                made.detail.update(vars(fact))
            elif isinstance(fact, MappingFact):
                made = self.add(f"{_word(fact.name)}.mapping", Status.DONE)
                made.value = fact.name
                made.detail.update({k: hex(v) for k, v in vars(fact).items() if k != "name"})

    def _value(self, fact: Value) -> None:
        """A figure stands for itself; a word is what its test saw."""
        test = self._by_path.get(f"{self.suite}.{fact.test}")
        if fact.unit is None and test is not None:
            if test.value is None:
                test.value = fact.value
            else:
                test.detail[fact.name] = fact.value
            return
        made = self.add(f"{fact.test}.{_word(fact.name)}", Status.DONE)
        made.value, made.unit, made.samples = fact.value, fact.unit, list(fact.samples)
        if fact.unit is not None:
            made.detail["representative"] = fact.representative

    def _seen(self, fact: Seen) -> None:
        """What nobody judges: its test is no PASS, unless something else in it is judged."""
        self.add(f"{fact.test}.{_word(fact.name)}", Status.DONE).value = fact.value
        test = self._by_path.get(f"{self.suite}.{fact.test}")
        if test is not None and test.status is Status.PASS and test.value is None:
            test.status, test.value = Status.DONE, RECORDED

    def combining(self) -> None:
        """Decide from the samples of each test of that name whether stores are gathered."""
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
            made = self.add(f"{fact.test}.host", Status.PASS)
            made.detail.update(offset=hex(fact.offset), size=fact.size, seed=hex(fact.seed))
            later = next((e for e in expects[index + 1 :] if _overlap(fact, e)), None)
            reason = ""
            if bar is None:
                reason = "the device's memory cannot be seen from the host"
            elif fact.test == self._open:
                reason = "the guest died before the test was over"
            elif later is not None:
                reason = f"overwritten by {later.test}"
            if reason or bar is None:
                made.status = Status.SKIP
                made.detail["reason"] = reason
            else:
                _check(made, bar, fact, [e.seed for e in expects[:index] if _overlap(fact, e)])

    def stream(self) -> None:
        """Add what is wrong with the stream, unless the guest's end explains that."""
        if not self.document.ended:
            if self.death is None and self._open is None:
                self.add("end", Status.MISS, "the suite never said that it was over")
            return
        # A program of cases that was ended at its limit has told so itself, with TIMEOUT.
        passed_over = ("note", "torn") if self.cases else ("note",)
        findings = [f.text for f in self.document.findings if f.weight not in passed_over]
        if findings:
            made = self.add("ktap", Status.ERROR, "; ".join(findings[:TOLD]))
            made.detail["findings"] = findings


def _check(made: Observation, bar: Memory, fact: Expect, older: Sequence[int]) -> None:
    try:
        damages = check_pattern(bar, fact.offset, fact.size, fact.seed, older, fact.fill)
    except ValueError as error:
        made.status = Status.ERROR
        made.detail["reason"] = str(error)
        return
    if damages:
        made.status = Status.FAIL
        told = [str(damage) for damage in damages[:TOLD]]
        more = [f"and {len(damages) - TOLD} more"] if len(damages) > TOLD else []
        made.detail["reason"] = "; ".join(told + more)
        made.detail["damages"] = [str(damage) for damage in damages]


def _combine(test: Observation, samples: Sequence[Sequence[float]]) -> None:
    from harness.suites.combining import ERROR_RATE, decide  # noqa: PLC0415 - it takes scipy

    try:
        found = decide(*samples)
    except ValueError as error:
        test.status = Status.ERROR
        test.detail["reason"] = str(error)
        return
    test.status, test.value = Status.DONE, found.word
    test.detail.update(ratio=round(found.ratio, 3), p=found.p, error_rate=ERROR_RATE)


def _overlap(one: Expect, other: Expect) -> bool:
    return one.offset < other.offset + other.size and other.offset < one.offset + one.size


def _word(name: str) -> str:
    """A test's name as one component of a path."""
    return "_".join(name.split()) or "unnamed"


def _parent(test: str) -> str:
    return test.rpartition(".")[0]


def _reason(line: str) -> str:
    return line.removeprefix("reason:").strip()


def _unfinished(document: Document) -> str | None:
    """The test of the last `begin` if no result of that name came, else None."""
    begun = last_begun(document.facts)
    if begun is None or begun in _paths(document.tests, ""):
        return None
    return begun


def last_begun(facts: Iterable[Fact]) -> str | None:
    """Return the test that was announced last: where another guest goes on after a death."""
    return next((f.test for f in reversed(list(facts)) if isinstance(f, Begin)), None)


def _paths(tests: Sequence[Test], parent: str) -> set[str]:
    found = set()
    for test in tests:
        path = ".".join(filter(None, (parent, _word(test.name))))
        if test.ok is not None:
            found.add(path)
        found |= _paths(test.children, path)
    return found
