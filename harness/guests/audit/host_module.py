# SPDX-License-Identifier: GPL-2.0-only
"""The audit of a host that nothing outside can look into: by a module in its own kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import BuildError
from harness.base.paths import own_program
from harness.hosts.host import Host
from harness.hosts.l1.userland import guest_program
from harness.hosts.module_tables import ModuleTables
from harness.hosts.tables import NoTablesError, TableReader, TableSource

SOURCES = own_program("stage2-tables")
MODULE, PROGRAM = "stage2-tables.ko", "read-tables"


class Unreadable:
    """The TableSource of a host whose tables cannot be read, for `reason`."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def open(self, deadline: Deadline) -> AbstractContextManager[TableReader]:
        """Raise NoTablesError."""
        raise NoTablesError(self._reason)


@contextlib.contextmanager
def host_tables(host: Host, make_module: Callable[[Path], Path] | None) -> Iterator[TableSource]:
    """Yield the tables of a host's guests, read by a module of the host's own kernel meanwhile.

    `make_module` builds a folder of sources for that kernel, None where nobody has its headers. A
    host that does not take the module has tables that cannot be read. Raise HostLost when it dies.
    """
    with contextlib.ExitStack() as stack:
        source: TableSource
        try:
            if make_module is None:
                raise NoTablesError("there are no headers to build the host's module with")
            module, program = make_module(SOURCES) / MODULE, guest_program(SOURCES, PROGRAM)
            source = stack.enter_context(ModuleTables(host, module, program))
        except BuildError as error:
            source = Unreadable(f"the module that reads a host's tables does not build: {error}")
        except NoTablesError as error:
            source = Unreadable(str(error))
        yield source
