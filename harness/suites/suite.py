# SPDX-License-Identifier: GPL-2.0-only
"""Suites: guest-tests/NAME/suite.toml, or that of any folder."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.base import paths
from harness.base.errors import UsageError
from harness.base.toml import parse, read_toml, unknown


class Requires(BaseModel):
    """Needs of a suite on its machine; the cell is SKIP where the machine does not meet them.

    `vmm` are the names of the VMMs that the suite runs under (none: any), `place` those of the
    places (a machine's topology) where it can run (none: any), `memory_mib` is the guest's memory.
    """

    model_config = ConfigDict(extra="forbid")
    vmm: list[str] = Field(default_factory=list)
    place: list[str] = Field(default_factory=list)
    el2: bool = False
    memory_mib: int = Field(default=0, ge=0)


class Suite(BaseModel):
    """A guest test: its sources, the guest's script, and what is needed to judge the results.

    `script` is the guest's /suite (docs/guest-protocol.md). `needs` maps a pattern of tests, e.g.
    `*.unaligned_*`, to names of fidelity limits: such a test is SKIP where the emulator cannot
    show the effect. `promises` has the type that the guest's driver asks for by mapping, e.g.
    `Normal-NC` for `ioremap_wc`: the audit compares it with the type of both stages combined. A
    suite that `extends` another is built from that suite's folder; its file has only what differs.

    `programs` are static programs of user space, each made of NAME.c in the folder. `fragments` are
    config fragments (kernels/fragments) that the suite wants in its kernel. `guests` is how many
    guests one cell may use up: where a guest dies in a test, the next goes on behind that test.
    `lifts` names rules about stage 2 as a whole that its kernels may break by their policy
    (harness/suites/stage2-rules.toml).
    `devices` are the devices of qemu-configs/devices that the suite can drive (none: any); its
    cells are SKIP on machines with another device. `watch`: the suite is judged by QEMU's view of
    the device: the trace of its accesses, its screen instead of its memory.
    `destructive`: the suite may harm the device or the host under test. `cases`: the suite's tests
    only pass or fail, and each without a fact of its own is a case (docs/results.md). `policies`:
    its tests run vCPUs, and are judged by the rules in its folder (harness/suites/policy.py).
    `selftests` is a collection of the kernel's own tests, of which those of the set `subset` run
    (harness/suites/selftests.py).
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    extends: str | None = None
    folder: Path
    description: str
    modules: list[str] = Field(default_factory=list)
    programs: list[str] = Field(default_factory=list)
    fragments: list[str] = Field(default_factory=list)
    devices: list[str] = Field(default_factory=list)
    script: str
    guests: int = Field(default=1, ge=1, le=64)
    watch: bool = False
    destructive: bool = False
    cases: bool = False
    policies: bool = False
    lifts: list[str] = Field(default_factory=list)
    selftests: str = ""
    subset: str = ""
    needs: dict[str, list[str]] = Field(default_factory=dict)
    requires: Requires = Requires()
    promises: dict[str, str] = Field(default_factory=dict)
    limit: float = Field(default=60, gt=0)  # seconds

    def fits(self, device: str) -> bool:
        """Return whether the suite can drive the device of this name."""
        return not self.devices or device in self.devices

    @functools.cached_property
    def source_hash(self) -> str:
        """Return a SHA-256 over the folder's files and the headers that suites share.

        Raise OSError when a file cannot be read.
        """
        digest = hashlib.sha256()
        sources = sorted(path for path in self.folder.rglob("*") if path.is_file())
        files = [(str(path.relative_to(self.folder)), path) for path in sources]
        for name, path in (*files, *paths.shared_headers(self.folder).items()):
            digest.update(name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


def list_suites() -> dict[str, Path]:
    """Return the suite.toml of each suite by its name."""
    return paths.SUITES.files()


def load_suite(name: str) -> Suite:
    """Return the suite `name`; a name with a slash is the path of a suite's folder.

    `NAME:SET` is the suite with a set of its tests. Raise UsageError when there is no such suite
    or set, or its file is wrong.
    """
    if ":" in name:
        # Few suites have a table of tests.
        from harness.suites.selftests import check_set  # noqa: PLC0415

        whole, _, subset = name.rpartition(":")
        suite = load_suite(whole)
        check_set(suite.folder, suite.selftests, subset)
        return suite.model_copy(update={"name": name, "subset": subset})
    path = Path(name).expanduser().resolve() / "suite.toml" if "/" in name else _named(name)
    values = _values(path, ())
    return parse(Suite, path, {**values, "name": path.parent.name})


def _named(name: str, behind: Path | None = None) -> Path:
    path = paths.SUITES.find(name, behind)
    if path is None:
        raise unknown("suite", name, list_suites())
    return path


def _values(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """Return the values of a suite.toml over those of the suites that it extends."""
    if path in extending:
        raise UsageError(f"{path}: suites extend each other in a circle")
    values = read_toml(path)
    if "extends" not in values:
        return {**values, "folder": path.parent}
    base = str(values["extends"])
    if "/" in base:
        extended = (path.parent / base).resolve() / "suite.toml"
    else:
        extended = _named(base, behind=path if base == path.parent.name else None)
    return {**_values(extended, (*extending, path)), **values}
