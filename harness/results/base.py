# SPDX-License-Identifier: GPL-2.0-only
"""The base of all records, and the statuses that they give."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from harness.base.errors import ExitCode


class Status(StrEnum):
    """KCIDB v5.3's statuses: whose fault a bad result is decides between FAIL, ERROR and MISS."""

    PASS = "PASS"  # noqa: S105 - not a password
    FAIL = "FAIL"  # the kernel's fault
    ERROR = "ERROR"  # the test's own fault
    MISS = "MISS"  # the harness's or the machine's fault
    DONE = "DONE"  # measured, no verdict
    SKIP = "SKIP"  # not run; detail says why


# Worst first: the status of a group is the first of these that one of its members has.
SEVERITY = (Status.FAIL, Status.ERROR, Status.MISS, Status.PASS, Status.DONE, Status.SKIP)


def worst(statuses: list[Status]) -> Status:
    """Return the worst of `statuses`, which is the status of their group; SKIP for no status."""
    return next((s for s in SEVERITY if s in statuses), Status.SKIP)


class Record(BaseModel):
    """A part of run.json; a key that is not listed is an error."""

    model_config = ConfigDict(extra="forbid")


class OpenRecord(Record):
    """A part of run.json that grows: keys that other versions wrote are kept.

    A key that was not given is None or empty here, and is not written.
    """

    model_config = ConfigDict(extra="allow")

    @model_serializer(mode="wrap")
    def _given_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        return {key: value for key, value in document.items() if key in self.model_fields_set}


def exit_code_of(status: Status) -> ExitCode:
    """Return the exit code of a command whose run, cell or verdict has this status."""
    if status is Status.FAIL:
        return ExitCode.FAIL
    return ExitCode.UNDECIDED if status in (Status.ERROR, Status.MISS) else ExitCode.OK
