# SPDX-License-Identifier: GPL-2.0-only
"""What is asked for: the kernels, base first, and the cells that each of them is run in."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.base.errors import UsageError
from harness.evaluate.plan.expect import Expect, Filter
from harness.evaluate.plan.plan import (
    KEEP_ALL,
    NO_LIMITS,
    CellRequest,
    Limits,
    Retention,
    load_plan,
    request,
)
from harness.hosts.machines.machine import Machine
from harness.hosts.named import load_machine
from harness.kernel import repository
from harness.kernel.intake import intake, kept
from harness.kernel.intake.kept import PatchSeries
from harness.kernel.series import readable
from harness.kernel.source import has_changes, is_kernel
from harness.kernel.spec import KernelSource, KernelSpec, find_fragment, resolve
from harness.suites.suite import Suite, load_suite

MACHINE, SUITE = "nested-tcg", "wcprobe"


@dataclass(frozen=True)
class Options:
    """What the user gave. `kernel` and `tree` exclude each other, `plan` and the names as well."""

    kernel: str = ""
    tree: str = ""
    base: str = ""
    plan: Path | None = None
    machines: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    cpu: str | None = None
    config: tuple[str, ...] = ()
    llvm: bool = False


@dataclass(frozen=True)
class Matrix:
    """Machines and suites, and what a plan expects, leaves out and limits there."""

    machines: tuple[Machine, ...]
    suites: tuple[Suite, ...]
    expect: tuple[Expect, ...] = ()
    include: tuple[Filter, ...] = ()
    exclude: tuple[Filter, ...] = ()
    limits: Limits = NO_LIMITS
    retention: Retention = KEEP_ALL

    def cells(self, kernel: KernelSpec) -> tuple[CellRequest, ...]:
        """Return the cells of `kernel`.

        A plan's filters are about its own kernels: of one that includes, only machine and suite
        count, and one that excludes counts when it is for all kernels.
        """
        include = [one.model_copy(update={"kernel": "*"}) for one in self.include]
        exclude = [one for one in self.exclude if one.kernel == "*"]
        found = (request(kernel, m, s) for m, s in itertools.product(self.machines, self.suites))
        return tuple(
            cell
            for cell in found
            if (not include or any(one.concerns(cell) for one in include))
            and not any(one.concerns(cell) for one in exclude)
        )


AUTO = "auto"  # for --suite: what reaches the series is chosen
NOTHING = Matrix((), ())


@dataclass(frozen=True)
class Step:
    """One kernel: the base (`count` 0), or the base with the first `count` patches."""

    count: int
    title: str
    kernel: KernelSpec
    requests: tuple[CellRequest, ...]

    @property
    def name(self) -> str:
        """Return the name that `s2eval run --kernel` knows the kernel by."""
        return self.kernel.name

    @property
    def kernels(self) -> list[KernelSpec]:
        """Return what is built: `kernel`, with the config fragments that each suite wants."""
        return list(dict.fromkeys(cell.kernel for cell in self.requests))


@dataclass(frozen=True)
class PatchJob:
    """A series and what is to be done with it. `tree`: the user's, None with a named kernel."""

    series: PatchSeries
    steps: tuple[Step, ...]
    matrix: Matrix
    tree: Path | None
    notes: tuple[str, ...] = field(default=())


def job_of(given: str, options: Options, *, each: bool) -> PatchJob:
    """Return the job for a series. UsageError for all that is wrong with it; nothing is built."""
    if options.kernel and options.tree:
        raise UsageError("give --kernel or --tree, not both")
    if options.kernel and options.base:
        raise UsageError("--base is a commit of a tree: give it with --tree, not with --kernel")
    chosen = AUTO in options.suites
    matrix = NOTHING if chosen else matrix_of(options)
    tree = None if options.kernel else tree_of(options.tree)
    refs = tree or _tree_here()
    named = readable(resolve(options.kernel)) if options.kernel else None
    series = intake.take(given, tree=refs, base=options.base)
    notes = list(series.notes)
    if chosen:
        matrix, note = _chosen_matrix(series, options)
        notes.append(note)
    if tree:
        base = _base_of(tree, series, options.base)
        if has_changes(KernelSource(tree=str(tree))):
            notes.append(f"{tree} has uncommitted changes: they are not part of what is tested")
    elif named:
        base = named
        if series.start:
            notes.append(
                f"its commits stand on {series.start[:12]}; they are picked on {base.name}"
            )
        elif series.base_commit:
            notes.append(
                f"its base-commit is {series.base_commit[:12]}; it is tried on {base.name}"
            )
    else:
        raise AssertionError("a kernel or a tree")
    base = with_config(base, options)
    counts = range(1, len(series.patches) + 1) if each else [len(series.patches)]
    steps = [step_of(base, 0, "base", matrix)]
    for count in counts:
        title = series.subjects[count - 1] if each else "patched"
        steps.append(step_of(with_patches(base, kept.first(series, count)), count, title, matrix))
    return PatchJob(series, tuple(steps), matrix, tree, tuple(notes))


def with_patches(base: KernelSpec, folder: Path) -> KernelSpec:
    """Return `base` with the series in `folder` on top; the name can be given to `s2eval run`."""
    update = {"name": f"{base.name}+{folder.name}", "series": (*base.series, folder.name)}
    return base.model_copy(update=update)


def with_config(kernel: KernelSpec, options: Options) -> KernelSpec:
    """Return `kernel` with the fragments and the compiler that the user wants."""
    more = tuple(str(find_fragment(name)) for name in options.config)
    llvm = kernel.llvm or options.llvm
    return kernel.model_copy(update={"fragments": (*kernel.fragments, *more), "llvm": llvm})


def tree_of(given: str) -> Path:
    """Return the top of the user's kernel tree. UsageError when there is none."""
    place = Path(given).expanduser() if given else None
    if place and not place.is_dir():
        raise UsageError(f"--tree {given}: no such folder")
    top = repository.top_of(place)
    if top is None:
        here = f"--tree {given}: not in a git tree" if given else "this is no kernel tree"
        raise UsageError(f"{here}: go into one, or name it: --tree DIR or --kernel NAME")
    head = repository.commit_of(top, "HEAD")  # a mirror may have none
    if head and not is_kernel(top, head):
        raise UsageError(
            f"{top}: {head[:12]} is not a Linux kernel with arch/arm64: name a tree or a kernel: "
            "--tree DIR, --kernel NAME"
        )
    return top


def _tree_here() -> Path | None:
    """The tree that the user stands in, when it can be read; a kernel has been named."""
    try:
        return repository.top_of(None)
    except UsageError:
        return None


def matrix_of(options: Options) -> Matrix:
    """Return the machines and suites that the user means. UsageError for unknown ones."""
    if options.plan:
        if options.machines or options.suites:
            raise UsageError("give --plan or --machine/--suite, not both")
        plan = load_plan(options.plan)
        found = _loaded(plan.machines, plan.suites, options.cpu)
        return replace(
            found,
            expect=tuple(plan.expect),
            include=tuple(plan.include),
            exclude=tuple(plan.exclude),
            limits=plan.limits,
            retention=plan.retention,
        )
    return _loaded(options.machines or (MACHINE,), options.suites or (SUITE,), options.cpu)


def _chosen_matrix(series: PatchSeries, options: Options) -> tuple[Matrix, str]:
    """Return the machines and suites that reach what the series touches, and what was chosen.

    Raise UsageError where none is known to, or machines or more suites are named as well.
    """
    if options.plan or options.machines or len(options.suites) > 1:
        raise UsageError(f"--suite {AUTO} chooses machines and suites: name no others, no plan")
    from harness.evaluate.patch.reach.choose import choose  # noqa: PLC0415 - only where it is asked

    chosen = choose(series.patches, _is_known)
    machines, suites = ([getattr(p, kind) for p in chosen.places] for kind in ("machine", "suite"))
    matrix = _loaded(machines, suites, options.cpu)
    include = tuple(Filter(machine=p.machine, suite=p.suite) for p in chosen.places)
    return replace(matrix, include=include), chosen.told()


def _is_known(machine: str, suite: str) -> bool:
    """Return whether a record's machine and suite can be named: not those of files elsewhere."""
    try:
        load_machine(machine)
        load_suite(suite)
    except UsageError:
        return False
    return True


def _loaded(machines: Sequence[str], suites: Sequence[str], cpu: str | None) -> Matrix:
    return Matrix(
        tuple(load_machine(name, cpu=cpu) for name in dict.fromkeys(machines)),
        tuple(load_suite(name) for name in dict.fromkeys(suites)),
    )


def at_commit(tree: Path, commit: str) -> KernelSpec:
    """Return a commit of a user's tree as a kernel."""
    return resolve(f"tree:{tree}@{commit[:12]}")


def step_of(kernel: KernelSpec, count: int, title: str, matrix: Matrix) -> Step:
    """Return one kernel with its cells. UsageError when a plan leaves none."""
    cells = matrix.cells(kernel)
    if not cells:
        raise UsageError("the plan leaves no cell: its include and exclude rule out every one")
    return Step(count, title, kernel, cells)


def _base_of(tree: Path, series: PatchSeries, base: str) -> KernelSpec:
    """`--base`, the start of a range, the series' base-commit, or HEAD."""
    if series.start:
        return at_commit(tree, series.start)
    if base:
        return at_commit(tree, repository.commit_in(tree, base, "--base"))
    if series.base_commit:
        try:
            found = repository.commit_in(tree, series.base_commit, f"{series.name} is based on")
        except UsageError as error:
            raise UsageError(f"{error}; name another base: --base REF") from None
        return at_commit(tree, found)
    return at_commit(tree, repository.commit_in(tree, "HEAD", f"{tree}:"))
