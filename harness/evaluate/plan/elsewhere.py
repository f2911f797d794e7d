# SPDX-License-Identifier: GPL-2.0-only
"""Names that begin in another folder than the current one: those of a run that is resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.base.errors import UsageError
from harness.evaluate.plan.plan import CellRequest, Plan, cells_of
from harness.kernel.spec import KernelSpec, find_fragment, find_series


def cells_named_in(folder: str, plan: Plan) -> list[CellRequest]:
    """Return the cells of a plan whose names begin in `folder`, to be run from anywhere.

    The names alone are looked up there, before anything is started: what runs has the current
    folder of whoever resumes it. Raise UsageError when the folder is gone, or a name is.
    """
    with _standing_in(folder):
        found = cells_of(plan)
    kernels = {one: kernel_named_in(folder, one) for one in {r.kernel for r in found}}
    return [replace(request, kernel=kernels[request.kernel]) for request in found]


def kernel_named_in(folder: str, kernel: KernelSpec) -> KernelSpec:
    """Return the kernel with paths of its files, where their names in `folder` mean others here.

    Raise UsageError when the folder is gone.
    """
    with _standing_in(folder):
        files = _files(kernel)
    return kernel if _files(kernel) == files else kernel.model_copy(update=files)


@contextlib.contextmanager
def _standing_in(folder: str) -> Iterator[None]:
    if not Path(folder).is_dir():
        raise UsageError(f"{folder} is gone, where the names of the run begin")
    with contextlib.chdir(folder):
        yield


def _files(kernel: KernelSpec) -> dict[str, tuple[str, ...]]:
    """What the names of series and fragments mean from here, as absolute paths."""
    return {
        "series": _found(kernel.series, find_series),
        "fragments": _found(kernel.fragments, find_fragment),
    }


def _found(names: Sequence[str], find: Callable[[str], Path]) -> tuple[str, ...]:
    found = []
    for name in names:
        with contextlib.suppress(UsageError):  # not from here
            found.append(str(find(name)))
    return tuple(found)
