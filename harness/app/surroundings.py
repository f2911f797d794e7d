# SPDX-License-Identifier: GPL-2.0-only
"""What `run`, `patch` and `bisect` give to the engine: workers, progress, QEMU, what follows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from harness.app.after_run import afterwards
from harness.evaluate.engine.crew import crew_for
from harness.evaluate.engine.engine import Surroundings
from harness.evaluate.events import Event, GuestStarted, Listener
from harness.evaluate.plan.plan import Retention
from harness.hosts.qemu.binary import find_qemu
from harness.report.terminal.progress import shown_progress
from harness.results.history.recording import stored_at_once


@dataclass(frozen=True)
class Options:
    """How a command carries its run out, whatever is run.

    `jobs`: cells side by side. `page`: write the run's page, also that of an interrupted one.
    `tables`: the run is printed when it is over.
    """

    jobs: int = 1
    quiet: bool = True
    page: bool = False
    tables: bool = False


@contextlib.contextmanager
def surroundings(
    options: Options, *, way_on: str, most: int, retention: Retention
) -> Iterator[Surroundings]:
    """Start the workers, `most` of which may have work at a time, and then the progress.

    Raise UsageError or MachineError when there is no QEMU.
    """
    qemu = find_qemu()
    with (
        crew_for(min(options.jobs, most)) as crew,  # before the first thread: it forks
        shown_progress(quiet=options.quiet) as progress,
    ):
        yield Surroundings(
            crew,
            progress,
            qemu,
            way_on,
            preloading(page=options.page, tables=options.tables),
            partial(afterwards, retention=retention, page=options.page),
        )


def preloading(*, page: bool, tables: bool) -> Listener:
    """Return a listener that imports, when a guest has started, what a run wants at its end.

    That takes a moment, in which nothing else is to be done. `page`: the run's page is written;
    `tables`: the run is printed.
    """
    modules = {
        "harness.evaluate.cell.judge": True,
        "harness.results.history.history": stored_at_once(asked=page),
        "harness.report.page": page,
        "harness.report.terminal.run": tables,
    }

    def listen(event: Event) -> None:
        if isinstance(event, GuestStarted):
            for name in [name for name, wanted in modules.items() if wanted]:
                import_module(name)

    return listen
