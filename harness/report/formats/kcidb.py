# SPDX-License-Identifier: GPL-2.0-only
"""A run as KCIDB v5.3 JSON, the schema of kcidb-io: checkouts, builds, tests, issues, incidents.

A checkout is a kernel of the run (the base's commit and the series), a build is that kernel built,
a test is a cell or one of its observations. Ids are `ORIGIN:RUN/…`: two machines that run the same
plan need two origins. Every bad test is an incident of an issue, whose id is a hash of the suite,
the path and the kind of failure but not of the run: the same issue has the same id every night.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.evaluate.patch.between import documents
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.report.counted import counted, word_line
from harness.report.formats import Source
from harness.report.logs import excerpt
from harness.report.view.findings import BAD
from harness.report.view.grid import about
from harness.report.view.items import Item, items
from harness.results.records import Cell, Observation, Status
from harness.results.shifts import representative

Object = dict[str, Any]

VERSION = {"major": 5, "minor": 3}
TREE = "s2eval"  # the root of the tests' paths
VERDICT = "verdict"  # the path of the word on two kernels
EXCERPT_LIMIT = 16384  # characters, the schema's
# Statuses of tests that ran: only their numbers count, the schema says.
EXECUTED = (Status.FAIL, Status.ERROR, Status.PASS, Status.DONE)
CULPRITS = {Status.FAIL: "code", Status.ERROR: "tool", Status.MISS: "harness"}
# Units with a metric prefix: the schema wants the factor and the unit without the prefix.
UNITS = {
    "GB/s": (1e9, "B/s"),
    "MB/s": (1e6, "B/s"),
    "ms": (1e-3, "s"),
    "us": (1e-6, "s"),
    "ns": (1e-9, "s"),
}


def render(source: Source) -> str:
    """Return the document; raise UsageError for an origin that the schema does not allow."""
    if not re.fullmatch("[a-z0-9_]+", source.origin):
        raise UsageError(f"origin '{source.origin}': only a-z, 0-9 and _, e.g. --origin my_lab")
    document = _Document(source)
    for cell in source.run.cells:
        document.add(cell)
    for compared in documents(source.run, source.folder):
        document.add_verdict(compared)
    return json.dumps(document.as_json(), indent=1, allow_nan=False) + "\n"


class _Document:
    """The objects of a document by their ids: cells share checkouts, builds and issues."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.checkouts: dict[str, Object] = {}
        self.builds: dict[str, Object] = {}
        self.tests: dict[str, Object] = {}
        self.issues: dict[str, Object] = {}
        self.incidents: dict[str, Object] = {}

    def as_json(self) -> Object:
        """Return the document with all objects that were added."""
        groups = ("checkouts", "builds", "tests", "issues", "incidents")
        return {"version": VERSION, **{name: list(getattr(self, name).values()) for name in groups}}

    def _object(self, *names: str) -> Object:
        """Return an object of this run, with the two keys that all objects have."""
        name = "/".join([self.source.run.run.id, *filter(None, map(clean, names))])
        return {"id": f"{self.source.origin}:{name}", "origin": self.source.origin}

    def add(self, cell: Cell) -> None:
        """Add the objects of a cell."""
        checkout = self._object(cell.kernel.name)
        self.checkouts.setdefault(checkout["id"], checkout | _checkout(cell, self.source))
        build = self._object(cell.kernel.name, cell.kernel.build_key or "none")
        build["checkout_id"] = checkout["id"]
        self.builds.setdefault(build["id"], build | _build(cell, self.source))
        test = self._object(cell.name) | {"build_id": build["id"]}
        self.tests[test["id"]] = test | _cell_test(cell, self.source)
        for item in items(cell):
            self._add_item(cell, item, build["id"])

    def add_verdict(self, compared: VerdictDocument) -> None:
        """Add the word on two kernels as a test of the patched one, and what it counts below it.

        Only in a run of `s2eval patch`, whose own verdict this is, are they PASS and FAIL.
        """
        kernel = compared.patched.kernel
        if kernel is None:  # several kernels: there is no build that this is about
            return
        build = self._object(kernel.name, kernel.build_key or "none")["id"]
        if build not in self.builds:
            return
        decides = bool(compared.run) and compared.run == self.source.run.run.id
        name = f"{compared.base.name} {compared.patched.name}"
        facts = [(VERDICT, word_line(compared), compared.status)]
        for thing in counted(compared):
            status = Status.FAIL if thing.worse else Status.PASS
            facts.append((f"{VERDICT}.{thing.change.path}", f"{thing.title}: {thing.text}", status))
        for path, comment, status in facts:
            test = self._object(name, path) | {"build_id": build, "path": _path(path)}
            while test["id"] in self.tests:
                test["id"] += "'"
            test["status"] = (status if decides else Status.DONE).value
            self.tests[test["id"]] = test | {"comment": comment}

    def _add_item(self, cell: Cell, item: Item, build: str) -> None:
        test = self._object(cell.name, item.path) | {"build_id": build}
        # A suite that reports a path twice has two tests.
        while test["id"] in self.tests:
            test["id"] += "'"
        self.tests[test["id"]] = test | _item_test(cell, item, self.source)
        if item.status in BAD:
            issue = self._issue(cell, item)
            incident = f"{test['id']}/incident"
            self.incidents[incident] = {
                "id": incident,
                "origin": self.source.origin,
                "issue_id": issue["id"],
                "issue_version": issue["version"],
                "test_id": test["id"],
                "present": True,
                "comment": "as the plan expects" if item.expected else clean(item.text),
            }

    def _issue(self, cell: Cell, item: Item) -> Object:
        """Return the issue of a bad item: the same in every run, for every kernel and machine."""
        kind = item.kind or item.value or item.status.value
        subject = clean(f"{cell.suite.name}: {item.path}: {kind}")
        digest = hashlib.sha256(f"{item.status.value} {subject}".encode()).hexdigest()[:16]
        issue = {
            "id": f"{self.source.origin}:issue/{digest}",
            "origin": self.source.origin,
            "version": 1,
            "report_subject": subject,
            "culprit": {name: status is item.status for status, name in CULPRITS.items()},
        }
        return self.issues.setdefault(str(issue["id"]), issue)


def _checkout(cell: Cell, source: Source) -> Object:
    kernel = cell.kernel
    checkout: Object = {
        "patchset_hash": kernel.series_hash,
        "comment": clean(f"{kernel.name}: {kernel.source} {' '.join(kernel.series)}"),
        "start_time": source.run.run.started,
        "misc": {"kernel": kernel.name, "source": kernel.source, "series": kernel.series},
    }
    if re.fullmatch("[0-9a-f]{40}", kernel.commit):
        checkout |= {"git_commit_hash": kernel.commit, "valid": True}
    if kernel.version:
        checkout["git_commit_name"] = clean(kernel.version)
    return checkout


def _build(cell: Cell, source: Source) -> Object:
    kernel = cell.kernel
    build: Object = {
        "architecture": "arm64",
        "misc": {"config_hash": kernel.config_hash, "image_hash": kernel.image_hash},
    }
    if kernel.compiler:
        build["compiler"] = clean(kernel.compiler)
    if kernel.image_hash:
        build["status"] = Status.PASS.value
    elif cell.failure and cell.failure.where == "build":
        build["status"] = cell.status.value
        build |= _log(cell, source)
    return build


def _cell_test(cell: Cell, source: Source) -> Object:
    """Return the test for the cell itself, above those for its observations."""
    test = {
        "path": _path(cell.suite.name),
        "status": cell.status.value,
        "start_time": source.run.run.started,
        "duration": round(sum(phase.seconds for phase in cell.phases), 3),
        "environment": {
            "comment": _machine(cell),
            "misc": cell.machine.model_dump(exclude={"command"}),
        },
        "misc": {"machine": cell.machine.name, "suite_hash": cell.suite.source_hash},
    }
    if cell.failure:
        test["comment"] = clean(f"{cell.failure.kind}: {cell.failure.summary}")
        test |= _log(cell, source)
    return test


def _item_test(cell: Cell, item: Item, source: Source) -> Object:
    test: Object = {
        "path": _path(f"{cell.suite.name}.{item.path}"),
        "status": item.status.value,
        "environment": {"comment": _machine(cell)},
    }
    if item.text:
        test["comment"] = item.text
    if item.seconds is not None:
        test["duration"] = item.seconds
    if item.observation is not None:
        test |= _number(item.observation)
    if item.expected:
        test.setdefault("misc", {})["expected"] = True
    return test | (_log(cell, source) if item.log else {})


def _number(item: Observation) -> Object:
    """Return `number` for a figure, with its samples in `misc`; {} for other observations."""
    value = item.value
    if isinstance(value, bool | str) or value is None or item.status not in EXECUTED:
        return {}
    if not math.isfinite(value):
        return {}
    number: Object = {"value": value}
    if item.unit in UNITS:
        factor, unit = UNITS[item.unit]
        number = {"value": value * factor, "unit": unit, "prefix": "metric"}
    elif item.unit:
        number["unit"] = clean(item.unit)
    samples = [sample for sample in item.samples if math.isfinite(sample)]
    misc = {"samples": samples, "unit": item.unit or "", "representative": representative(item)}
    return {"number": number, "misc": misc}


def _machine(cell: Cell) -> str:
    return clean(f"{cell.machine.name}: {about(cell.machine)}")


def _log(cell: Cell, source: Source) -> Object:
    text = "\n".join(excerpt(cell, source.folder))[:EXCERPT_LIMIT]
    return {"log_excerpt": text} if text else {}


def _path(text: str) -> str:
    """Return a path as the schema wants it: ASCII letters, digits, _ and -, joined with dots."""
    words = (re.sub("[^a-zA-Z0-9_-]", "_", word) for word in text.split("."))
    return ".".join([TREE, *filter(None, words)])
