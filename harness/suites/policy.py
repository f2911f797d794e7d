# SPDX-License-Identifier: GPL-2.0-only
"""Rules about the runs of vCPUs: invariants of every kernel, and the policy of one. Pure.

A suite with `policies` has the rules in its folder: invariants.toml, which no kernel may break,
and a file for each policy in policies/ (guest-tests/vma/README.md has the format). A rule speaks of
a test's facts: its outcome, what became of the memslot, the stage-2 leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.base.toml import parse, read_toml
from harness.results.records import OR, Observation, Status
from harness.suites.failures import classify

INVARIANTS, POLICIES = "invariants.toml", "policies"
LOG = "log: "  # begins a diagnostic line with a message of the host's kernel
CLEAN = "clean"
UNKNOWN = "unknown"  # what became of the memslot of a VMM that died
NAMED = 3  # deviations that a reason names
JUDGED = (Status.PASS, Status.FAIL, Status.DONE)
Facts = Mapping[str, str]


class Rule(BaseModel):
    """What tests must show or must never show.

    `tests` and `besides` are patterns of names below the suite (the latter are left out). Keys of
    `when`, `must` and `never` are names of facts, values are patterns (`A or B`: either). The rule
    speaks of tests whose facts are as `when` says.
    """

    model_config = ConfigDict(extra="forbid")
    name: str = ""
    why: str = ""
    tests: list[str] = Field(default=["*"], min_length=1)
    besides: list[str] = Field(default_factory=list)
    when: dict[str, str] = Field(default_factory=dict)
    must: dict[str, str] = Field(default_factory=dict)
    never: dict[str, str] = Field(default_factory=dict)

    def applies(self, test: str, facts: Facts) -> bool:
        """Return whether the rule speaks of `test`."""
        named = any(fnmatchcase(test, pattern) for pattern in self.tests)
        besides = any(fnmatchcase(test, pattern) for pattern in self.besides)
        return named and not besides and all(_fits(facts, *item) for item in self.when.items())

    def deviations(self, facts: Facts) -> Iterator[str]:
        """Yield a text for each fact that is not as the rule has it."""
        for key, pattern in self.must.items():
            if not _fits(facts, key, pattern):
                yield f"{key} is {facts.get(key, 'unknown')}, not {pattern}"
        for key, pattern in self.never.items():
            if _fits(facts, key, pattern):
                yield f"{key} is {facts[key]}"


class Invariants(BaseModel):
    """The rules of invariants.toml, each with a name and its reason."""

    model_config = ConfigDict(extra="forbid")
    invariant: list[Rule]


class Policy(BaseModel):
    """A kernel's policy. `needs` are patterns of tests of which one must have run to tell it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    description: str
    needs: list[str] = Field(default_factory=list)
    rule: list[Rule]


def load_invariants(folder: Path) -> list[Rule]:
    """Return the invariants of the suite in `folder`. Raise UsageError when the file is wrong."""
    return load_rules(folder / INVARIANTS)


def load_rules(path: Path) -> list[Rule]:
    """Return the invariants in a file. Raise UsageError when it is wrong."""
    return parse(Invariants, path, read_toml(path)).invariant


def load_policies(folder: Path) -> list[Policy]:
    """Return the policies of the suite in `folder`. Raise UsageError when a file is wrong."""
    return [
        parse(Policy, path, {**read_toml(path), "name": path.stem})
        for path in sorted((folder / POLICIES).glob("*.toml"))
    ]


def judge_policies(suite: str, folder: Path, observations: Sequence[Observation]) -> Observation:
    """Judge the tests by the invariants; return `SUITE.policy`, the policy that all of them fit.

    A test that breaks an invariant becomes FAIL, with the invariant's name and reason. A VMM that
    died says nothing about the policy. The policy
    is FAIL where none fits, with the nearest one and its first deviations; SKIP without a test.
    Raise UsageError when a file is wrong.
    """
    tests = {
        item.path.removeprefix(f"{suite}."): item
        for item in observations
        if item.status in JUDGED and "memslot" in item.detail
    }
    facts = {test: facts_of(item) for test, item in tests.items()}
    for rule in load_invariants(folder):
        for test, item in tests.items():
            if rule.applies(test, facts[test]):
                _break(item, rule, facts[test])
    alive = {test: known for test, known in facts.items() if known["memslot"] != UNKNOWN}
    return _policy(f"{suite}.policy", load_policies(folder), alive)


def facts_of(item: Observation) -> dict[str, str]:
    """Return the facts of a test by name, as texts: `outcome`, `log` and those of its detail."""
    lines = [str(line) for line in _lines(item.detail) if str(line).startswith(LOG)]
    failure = classify.console([line.removeprefix(LOG) for line in lines])
    facts = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in item.detail.items()
    }
    log = CLEAN if failure is None or failure.kind.of_guest else str(failure.kind)
    return {**facts, "outcome": str(item.value), "log": log}


def _lines(detail: Mapping[str, Any]) -> list[Any]:
    lines = detail.get("diagnostics", [])
    return lines if isinstance(lines, list) else []


def _fits(facts: Facts, key: str, pattern: str) -> bool:
    value = facts.get(key)
    return value is not None and any(fnmatchcase(value, one) for one in pattern.split(OR))


def _break(item: Observation, rule: Rule, facts: Facts) -> None:
    """Make a test that breaks `rule` FAIL."""
    if not (texts := list(rule.deviations(facts))):
        return
    broken = f"invariant {rule.name}: {'; '.join(texts)}"
    known = item.detail.get("reason") if item.status is Status.FAIL else None
    item.status = Status.FAIL
    item.detail["reason"] = f"{known}; {broken}" if known else broken
    item.detail.setdefault("broken", []).append(rule.name)


def _policy(path: str, policies: Sequence[Policy], facts: Mapping[str, Facts]) -> Observation:
    if not facts:
        return Observation(
            path=path, status=Status.SKIP, detail={"reason": "no test came to its end"}
        )
    ran = [p for p in policies if not p.needs or any(_any_of(p.needs, test) for test in facts)]
    deviations = {policy.name: list(_deviations(policy, facts)) for policy in ran}
    if not ran:
        reason = "no test ran by which a policy can be told"
        return Observation(path=path, status=Status.SKIP, detail={"reason": reason})
    fitting = [name for name, texts in deviations.items() if not texts]
    if fitting:
        return Observation(path=path, status=Status.PASS, value=OR.join(fitting))
    nearest = min(deviations, key=lambda name: len(deviations[name]))
    texts = deviations[nearest]
    more = f", and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    reason = f"no policy fits; the nearest is {nearest}, but {', '.join(texts[:NAMED])}{more}"
    detail = {"reason": reason, "deviations": deviations}
    return Observation(path=path, status=Status.FAIL, value="unknown", detail=detail)


def _any_of(patterns: Sequence[str], test: str) -> bool:
    return any(fnmatchcase(test, pattern) for pattern in patterns)


def _deviations(policy: Policy, facts: Mapping[str, Facts]) -> Iterator[str]:
    for test, known in facts.items():
        for rule in policy.rule:
            if rule.applies(test, known):
                yield from (f"{test}: {text}" for text in rule.deviations(known))
