# SPDX-License-Identifier: GPL-2.0-only
"""The tables of a host's guests, open from the first request of an audit on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Self

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.tables import Reading, TableReader, TableSource, Target

BUDGET = 10.0  # seconds for a request; the guest waits 12 (guest-tests/init/init.c)
NO_TABLES = "this host has no way to the page tables of its guests"


class OpenTables:
    """Opens the tables of `source` when they are first read. A context manager."""

    def __init__(self, source: TableSource | None) -> None:
        self._source = source
        self._stack = contextlib.ExitStack()
        self._reader: TableReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def release(self) -> None:
        """Close the tables, so that others can look at the machine; the next request opens them."""
        self._stack.close()
        self._reader = None

    def read(
        self, targets: Sequence[Target], deadline: Deadline, *, answer: Deadline
    ) -> list[Reading]:
        """Return the readings, as TableReader.read(); `answer` is for opening the tables, too.

        Raise MachineError when they cannot be read; the next request opens the tables anew.
        """
        try:
            if self._reader is None:
                if self._source is None:
                    raise MachineError(NO_TABLES)
                self._reader = self._stack.enter_context(self._source.open(answer))
            return self._reader.read(targets, deadline, answer=answer)
        except MachineError:
            self.release()
            raise
