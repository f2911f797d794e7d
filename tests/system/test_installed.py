# SPDX-License-Identifier: GPL-2.0-only
"""The wheel in an environment of its own, used in an empty folder, with an empty home."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.base.paths import NEEDED, ROOT, cache_dir
from harness.results.records import Run, Status
from harness.results.store import load_run
from tests.system.commands import KERNEL, SECONDS

PROGRAM = r"""
#include <s2eval/user.h>

int main(void)
{
	say("KTAP version 1\n1..1\n# s2eval: value test=hello name=outcome value=hello\nok 1 hello\n");
	return 0;
}
"""
OWN = {
    "plans/own-plan.toml": 'extends = "own-base"\nkernels = ["own-kernel"]\n',
    "plans/own-base.toml": 'kernels = ["debian-6.1"]\nmachines = ["own-machine"]\n'
    'suites = ["own-suite"]\n',
    "kernels/own-kernel.toml": '[source]\npackage = "linux-source-6.1"\n'
    'suites = ["bookworm", "bookworm-security"]\n',
    "qemu-configs/own-machine.toml": 'extends = "flat-tcg"\ntemplate = "own.j2"\n',
    "qemu-configs/own.j2": "{% include 'flat.j2' %}",
    "guest-tests/own-suite/suite.toml": 'description = "one program"\nprograms = ["hello"]\n'
    'script = "exec /bin/hello"\n',
    "guest-tests/own-suite/hello.c": PROGRAM,
}
HASH = "from harness.evaluate.engine.unchanged import harness_hash; print(harness_hash())"


def run(*command: str | Path, cwd: Path, **change: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **change},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def made(*command: str | Path, cwd: Path) -> None:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def build(kind: str, sources: Path, folder: Path) -> Path:
    """The wheel or the sdist of `sources`, built as pip does but without network."""
    made(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder, cwd=sources)
    (path,) = folder.iterdir()
    return path


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a user of it."""

    environment: Path
    home: Path

    def program(
        self, name: str, *args: str | Path, folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in `folder`; of the user's, only the cache is ours."""
        unset = {name: "" for name in os.environ if name.startswith(("S2EVAL_", "XDG_"))}
        ours = {"HOME": str(self.home), "S2EVAL_CACHE": str(cache_dir()), "COLUMNS": "250"}
        return run(self.environment / "bin" / name, *args, cwd=folder, **unset, **ours)

    def files(self) -> set[str]:
        """What is in the environment, but for Python's own caches."""
        found = self.environment.rglob("*")
        return {str(path) for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip finds what the wheel depends on among the packages of the tests, and nowhere else."""
    path = tmp_path_factory.mktemp("environment")
    made(sys.executable, "-m", "venv", "--without-pip", path, cwd=path)
    # A folder named so is searched, but the .pth files in it (of the editable s2eval) are not.
    (packages(path) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--python", path / "bin/python")
    made(*pip, "install", "-q", "--no-index", wheel, cwd=path)
    return path


def packages(environment: Path) -> Path:
    """Where packages are installed in it."""
    bases = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", "venv", bases))


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installed:
    """The wheel's user, whose home is empty."""
    (tmp_path / "home").mkdir()
    return Installed(environment, tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


def test_quickstart_runs_in_an_empty_folder(installed: Installed, folder: Path) -> None:
    before = installed.files()
    done = installed.program("s2eval", "run", "quickstart", "--quiet", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    results = installed.home / ".local/state/s2eval/results"
    (run_folder,) = [path for path in results.iterdir() if path.name.endswith("-quickstart")]
    assert done.stdout.endswith(f"records: {run_folder}\n"), "the command says where they are"
    record = load_run(run_folder)
    assert [cell.kernel.name for cell in record.cells] == [KERNEL, f"{KERNEL}+stage2-normal-nc"]
    assert record.status is Status.PASS and all(cell.observations for cell in record.cells)
    assert installed.program("s2eval", "show", folder=folder).stdout == done.stdout
    assert not list(folder.iterdir()) and installed.files() == before
    # The same guests and verdicts as a checkout gives, so the records of both can be compared.
    same = run(sys.executable, "-c", HASH, cwd=folder).stdout
    assert installed.program("python", "-c", HASH, folder=folder).stdout == same


def test_the_user_extends_what_the_wheel_carries(installed: Installed, folder: Path) -> None:
    """A kernel, a machine, its template, a suite with a program and a plan of the user's own."""
    for name, text in OWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    listed = installed.program("s2eval", "list", folder=folder).stdout
    for name in ("own-kernel", "own-machine", "own-suite", "own-plan"):
        assert re.search(rf"^  {name} .*\[{re.escape(str(folder))}\]$", listed, re.MULTILINE)
    done = installed.program("s2eval", "run", "own-plan", "--quiet", "--json", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    record = Run.model_validate_json(done.stdout)
    (cell,) = record.cells
    assert cell.name == "own-kernel/own-machine/own-suite"
    assert record.run.plan == "plans/own-plan.toml"
    assert {o.path: o.value for o in cell.observations}["own-suite.hello"] == "hello"
    assert cell.kernel.cached, "the project's fragments: it is debian-6.1 under another name"


def test_a_wheel_of_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    shutil.unpack_archive(sdist, tmp_path)
    (sources,) = tmp_path.glob("s2eval-*")
    again = build("wheel", sources, tmp_path / "wheel")
    assert contents(again) == contents(wheel)
    names = contents(wheel)
    assert {f"harness/data/{name}" for name in NEEDED} <= {
        "/".join(name.split("/")[:3]) for name in names
    }
    assert "harness/py.typed" in names
    assert all(name.startswith(("harness/", "s2eval-")) for name in names)


def contents(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


@pytest.fixture
def broken(installed: Installed) -> Iterator[Path]:
    """The installation's data, from which kernels/ is missing."""
    data = packages(installed.environment) / "harness/data"
    gone = (data / "kernels").rename(installed.home / "kernels")
    yield data
    gone.rename(data / "kernels")


def test_half_an_installation_is_one_line(broken: Path, installed: Installed, folder: Path) -> None:
    for command in (["list"], ["run", "quickstart"], ["decode", "mair", "0xff"]):
        done = installed.program("s2eval", *command, folder=folder)
        assert (done.returncode, done.stdout) == (125, "")
        (line,) = done.stderr.splitlines()
        assert line == (
            f"s2eval: this s2eval is incomplete, {broken} has no kernels: "
            "pip install --force-reinstall s2eval"
        )
    # Other projects' tests in that environment do not notice.
    (folder / "test_x.py").write_text("def test_x(): pass\n")
    done = installed.program("python", "-m", "pytest", "-q", folder=folder)
    assert done.returncode == 0 and "1 passed" in done.stdout


def test_without_its_script(installed: Installed, folder: Path) -> None:
    script = installed.program("s2eval", "list", "--json", folder=folder)
    module = installed.program("python", "-m", "harness", "list", "--json", folder=folder)
    assert module.stdout == script.stdout
    here = run(sys.executable, "-m", "harness", "list", "--json", cwd=ROOT)
    assert named(here.stdout) == named(script.stdout)


def named(listing: str) -> dict[str, list[str]]:
    return {kind: [one["name"] for one in ones] for kind, ones in json.loads(listing).items()}
