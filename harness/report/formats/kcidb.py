# SPDX-License-Identifier: GPL-2.0-only
"""A run as KCIDB v5.3 JSON, the schema of kcidb-io: checkouts, builds, tests, issues, incidents.

A checkout is a kernel of the run (the base's commit and the series), a build what was made of it,
a test a cell or one of its observations. Ids are `ORIGIN:RUN/…`: two machines that run the same
plan need two origins. Every bad test is an incident of an issue, whose id is made of what went
wrong and where but not of the run, so that it is the same one every night.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

from harness.base.errors import UsageError
from harness.base.text import clean
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
EXCERPT_LIMIT = 16384  # characters, the schema's
# A status whose number the schema lets a reader consider.
EXECUTED = (Status.FAIL, Status.ERROR, Status.PASS, Status.DONE)
CULPRITS = {Status.FAIL: "code", Status.ERROR: "tool", Status.MISS: "harness"}
# Units with a prefix in them as the schema wants them: without, and the kind of prefix.
UNITS = {
    "GB/s": (1e9, "B/s"),
    "MB/s": (1e6, "B/s"),
    "ms": (1e-3, "s"),
    "us": (1e-6, "s"),
    "ns": (1e-9, "s"),
}


def render(source: Source) -> str:
    """Return the document; raise UsageError when the origin is none."""
    if not re.fullmatch("[a-z0-9_]+", source.origin):
        raise UsageError(f"origin '{source.origin}': only a-z, 0-9 and _, e.g. --origin my_lab")
    made = _Document(source)
    for cell in source.run.cells:
        made.add(cell)
    return json.dumps(made.document(), indent=1, allow_nan=False) + "\n"


class _Document:
    """Objects by their ids: cells share checkouts, builds and issues."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.checkouts: dict[str, Object] = {}
        self.builds: dict[str, Object] = {}
        self.tests: dict[str, Object] = {}
        self.issues: dict[str, Object] = {}
        self.incidents: dict[str, Object] = {}

    def document(self) -> Object:
        groups = ("checkouts", "builds", "tests", "issues", "incidents")
        return {"version": VERSION, **{name: list(getattr(self, name).values()) for name in groups}}

    def _object(self, *names: str) -> Object:
        """An object of this run, with the two keys that all have."""
        name = "/".join([self.source.run.run.id, *filter(None, map(clean, names))])
        return {"id": f"{self.source.origin}:{name}", "origin": self.source.origin}

    def add(self, cell: Cell) -> None:
        checkout = self._object(cell.kernel.name)
        self.checkouts.setdefault(checkout["id"], checkout | _checkout(cell, self.source))
        build = self._object(cell.kernel.name, cell.kernel.build_key or "none")
        build["checkout_id"] = checkout["id"]
        made = self.builds.setdefault(build["id"], build | _build(cell, self.source))
        whole = self._object(cell.name) | {"build_id": made["id"]}
        self.tests[whole["id"]] = whole | _whole(cell, self.source)
        for item in items(cell):
            self._add_case(cell, item, made["id"])

    def _add_case(self, cell: Cell, item: Item, build: str) -> None:
        test = self._object(cell.name, item.path) | {"build_id": build}
        # A path that a suite says twice has a test each.
        while test["id"] in self.tests:
            test["id"] += "'"
        self.tests[test["id"]] = test | _test(cell, item, self.source)
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
        """What is wrong, whatever the run, the kernel and the machine."""
        kind = item.kind or item.said or item.status.value
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
    made: Object = {
        "patchset_hash": kernel.series_hash,
        "comment": clean(f"{kernel.name}: {kernel.source} {' '.join(kernel.series)}"),
        "start_time": source.run.run.started,
        "misc": {"kernel": kernel.name, "source": kernel.source, "series": kernel.series},
    }
    if re.fullmatch("[0-9a-f]{40}", kernel.commit):
        made |= {"git_commit_hash": kernel.commit, "valid": True}
    if kernel.version:
        made["git_commit_name"] = clean(kernel.version)
    return made


def _build(cell: Cell, source: Source) -> Object:
    kernel = cell.kernel
    made: Object = {
        "architecture": "arm64",
        "misc": {"config_hash": kernel.config_hash, "image_hash": kernel.image_hash},
    }
    if kernel.compiler:
        made["compiler"] = clean(kernel.compiler)
    if kernel.image_hash:
        made["status"] = Status.PASS.value
    elif cell.failure and cell.failure.where == "build":
        made["status"] = cell.status.value
        made |= _log(cell, source)
    return made


def _whole(cell: Cell, source: Source) -> Object:
    """The cell itself, above its observations."""
    made = {
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
        made["comment"] = clean(f"{cell.failure.kind}: {cell.failure.summary}")
        made |= _log(cell, source)
    return made


def _test(cell: Cell, item: Item, source: Source) -> Object:
    made: Object = {
        "path": _path(f"{cell.suite.name}.{item.path}"),
        "status": item.status.value,
        "environment": {"comment": _machine(cell)},
    }
    if item.text:
        made["comment"] = item.text
    if item.seconds is not None:
        made["duration"] = item.seconds
    if item.observation is not None:
        made |= _number(item.observation)
    if item.expected:
        made.setdefault("misc", {})["expected"] = True
    return made | (_log(cell, source) if item.log else {})


def _number(item: Observation) -> Object:
    """`number` of a figure, with what is needed to judge it."""
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
    samples = [one for one in item.samples if math.isfinite(one)]
    misc = {"samples": samples, "unit": item.unit or "", "representative": representative(item)}
    return {"number": number, "misc": misc}


def _machine(cell: Cell) -> str:
    return clean(f"{cell.machine.name}: {about(cell.machine)}")


def _log(cell: Cell, source: Source) -> Object:
    text = "\n".join(excerpt(cell, source.folder))[:EXCERPT_LIMIT]
    return {"log_excerpt": text} if text else {}


def _path(text: str) -> str:
    """A path of the schema: words of ASCII letters, digits, _ and -, with dots in between."""
    words = (re.sub("[^a-zA-Z0-9_-]", "_", word) for word in text.split("."))
    return ".".join([TREE, *filter(None, words)])
