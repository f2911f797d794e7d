# SPDX-License-Identifier: GPL-2.0-only
"""./bootstrap, run as it is on a project small enough to install without network."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.base.paths import ROOT

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "s2eval"
version = "1"
[project.optional-dependencies]
dev = []
"""
# A build backend (PEP 660) that needs no package: a wheel with the two commands.
BACKEND = """
import os, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    if os.environ.get("DIE_IN_PIP"):
        os.killpg(0, 9)
    info = "s2eval-1.dist-info"
    files = {
        "tiny.py": "import os, sys\\n"
                   "def s2eval(): print(os.environ.get(os.environ.get('TELL', ''), 's2eval'),"
                   " *sys.argv[1:])\\n"
                   "def tox(): print('tox', *sys.argv[1:])\\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: s2eval\\nVersion: 1\\n"
                            "Provides-Extra: dev\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\n"
                         "Tag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\ns2eval = tiny:s2eval\\ntox = tiny:tox\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, "s2eval-1-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "s2eval-1-py3-none-any.whl"
"""
TOOL = """[[tool]]
name = "{name}"
version = ["{name}", "--version"]
purpose = "for the test"
package = "{name}-deb"
need = "{need}"
"""


@dataclass
class Done:
    code: int
    out: str
    err: str


class Project:
    """A copy of bootstrap with a small project beside it, and a PATH with `bin` in front."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.bin = folder / "bin"
        self.home = folder / "home"
        for path in (self.folder / "harness/base", self.bin, self.home):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "bootstrap", self.folder)
        shutil.copytree(ROOT / ".ci/apt", self.folder / ".ci/apt")
        for path in (ROOT / "harness/__init__.py", *(ROOT / "harness/base").glob("*.py")):
            shutil.copy(path, self.folder / path.relative_to(ROOT))
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        (self.folder / "backend.py").write_text(BACKEND)
        (self.bin / "python3").symlink_to(sys.executable)
        self.needs()

    def needs(self, **tools: str) -> None:
        """Write tools.toml from name=need; bash is always there."""
        tables = [TOOL.format(name=name.replace("_", "-"), need=n) for name, n in tools.items()]
        always = TOOL.format(name="bash", need="required")
        (self.folder / "harness/base/tools.toml").write_text("\n".join([always, *tables]))

    def program(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        """Nearly empty, as on a fresh machine."""
        path = f"{self.bin}:/usr/bin:/bin"
        home = str(self.home)
        # A pip that is killed leaves its temporary files.
        return {"PATH": path, "HOME": home, "TMPDIR": home, "PIP_NO_INDEX": "1", **more}

    def run(self, *arguments: str, **more: str) -> Done:
        done = subprocess.run(
            [self.folder / "bootstrap", *arguments],
            cwd="/",
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @property
    def made(self) -> int:
        """When .venv was last installed into."""
        return (self.folder / ".venv/.stamp").stat().st_mtime_ns


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Set up after an attempt that was killed while pip ran."""
    project = Project(tmp_path_factory.mktemp("installed"))
    _kill_in_pip(project)
    assert (project.folder / ".venv/bin/python").exists()
    assert not (project.folder / ".venv/bin/s2eval").exists()
    done = project.run("run")
    assert (done.code, done.out) == (0, "s2eval run plans/quickstart.toml\n"), done.err
    assert "installing s2eval in .venv" in done.err
    return project


def _kill_in_pip(project: Project) -> None:
    """Run bootstrap until the backend kills all of it: bootstrap, pip and itself."""
    with subprocess.Popen(
        [project.folder / "bootstrap", "run"],
        env=project.environment(DIE_IN_PIP="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as bootstrap:
        assert bootstrap.wait() == -signal.SIGKILL


@pytest.fixture
def ready(_installed: Project) -> Iterator[Project]:
    """A project that is set up."""
    yield _installed
    _installed.needs()
    for program in _installed.bin.iterdir():
        if program.name != "python3":
            program.unlink()


@pytest.mark.parametrize("arguments", [(), ("walk",), ("--no-install",), ("--what", "run")])
def test_wrong_usage(project: Project, arguments: tuple[str, ...]) -> None:
    done = project.run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: ./bootstrap" in done.err
    assert not (project.folder / ".venv").exists()


def test_help(project: Project) -> None:
    done = project.run("--help")
    assert (done.code, done.err) == (0, "")
    assert "--no-install" in done.out


def test_arguments_are_passed_on_and_output_is_the_commands_own(ready: Project) -> None:
    done = ready.run("run", "--json", "-x", "a b")
    assert (done.code, done.out) == (0, "s2eval run plans/quickstart.toml --json -x a b\n")
    done = ready.run("test", "-e", "unit")
    assert (done.code, done.out) == (0, "tox -e unit\n")


def test_a_second_run_installs_nothing(ready: Project) -> None:
    before = ready.made
    done = ready.run("run")
    assert (done.code, done.err) == (0, "")
    assert ready.made == before


def test_the_surroundings_are_put_right(ready: Project) -> None:
    assert ready.run("run", TELL="HOME", HOME="").out.startswith(pwd.getpwuid(os.getuid()).pw_dir)
    path = ready.run("run", TELL="PATH").out.split()[0]
    assert path.endswith(":/usr/sbin:/sbin"), "what dpkg runs"


def test_the_tests_tools_are_installed_when_they_are_needed(ready: Project) -> None:
    (ready.folder / ".venv/.stamp[dev]").unlink(missing_ok=True)
    done = ready.run("test")
    assert (done.code, done.out) == (0, "tox\n"), done.err
    assert "installing s2eval[dev] in .venv" in done.err
    # What `test` installed is enough for `run`.
    assert ready.run("run").err == ""


@pytest.mark.parametrize("what", ["pyproject", "python"])
def test_venv_is_made_anew(what: str, ready: Project) -> None:
    """When pyproject.toml changed or .venv's Python is gone; here making it fails."""
    changed = ready.folder / ("pyproject.toml" if what == "pyproject" else ".venv/bin/python")
    kept = changed.rename(ready.home / what)
    stamps = {path: path.read_bytes() for path in (ready.folder / ".venv").glob(".stamp*")}
    if what == "pyproject":
        changed.write_text(PYPROJECT + "# changed\n")
    python = ready.bin / "python3"
    python.unlink()
    ready.program(
        "python3", f'case "$*" in *venv*--clear*) exit 3;; esac; exec {sys.executable} "$@"'
    )
    try:
        done = ready.run("run")
        assert (done.code, done.out) == (125, "")
        assert "-m venv failed" in done.err
        assert not list((ready.folder / ".venv").glob(".stamp*"))
    finally:
        kept.rename(changed)
        python.unlink()
        python.symlink_to(sys.executable)
        for path, content in stamps.items():
            path.write_bytes(content)


def test_a_missing_tool_is_named_and_not_installed(ready: Project) -> None:
    ready.needs(no_such_tool="required")
    ready.program("apt-get", "echo called >&2; exit 1")
    done = ready.run("--no-install", "run")
    assert (done.code, done.out) == (125, "")
    assert "  no-such-tool missing: for the test" in done.err
    assert "apt-get install --no-install-recommends no-such-tool-deb" in done.err
    assert "called" not in done.err
    assert ready.run("run", "--no-install").code == 125


def test_a_tool_that_is_only_wanted_does_not_stop(ready: Project) -> None:
    ready.needs(no_such_tool="wanted", never_mind="optional")
    done = ready.run("--no-install", "run")
    assert (done.code, done.out) == (0, "s2eval run plans/quickstart.toml\n")
    assert "no-such-tool missing" in done.err
    assert "never-mind" not in done.err


def apt_get(project: Project, install: str) -> None:
    """An apt-get that notes its arguments without options and runs `install`; sudo just runs."""
    project.program("sudo", 'while [ "$1" = -n ]; do shift; done\nexec "$@"')
    project.program(
        "apt-get",
        'case " $* " in *" update "*) echo update >>"$HOME/apt" ;;\n'
        f'*) echo "$DEBIAN_FRONTEND ${{*##*recommends}}" >>"$HOME/apt"; {install} ;; esac',
    )


def test_what_is_missing_is_installed(ready: Project) -> None:
    ready.needs(a_tool="required", c_tool="required")
    apt_get(
        ready,
        f"for t in a-tool c-tool; do printf '#!/bin/sh\\necho 1.0\\n' >{ready.bin}/$t; "
        f"chmod +x {ready.bin}/$t; done; echo dpkg speaks",
    )
    done = ready.run("run")
    assert (done.code, done.out) == (0, "s2eval run plans/quickstart.toml\n")
    assert "bootstrap: installing a-tool-deb c-tool-deb" in done.err
    notes = (ready.home / "apt").read_text().splitlines()
    assert notes[0] == "update"
    assert len(notes) == 2
    assert notes[1].startswith("noninteractive ")
    assert notes[1].endswith(" a-tool-deb c-tool-deb")
    assert ready.run("run").err == ""
    assert len((ready.home / "apt").read_text().splitlines()) == 2, "nothing missing, no apt-get"


def test_what_is_not_needed_is_installed_one_by_one(ready: Project) -> None:
    """Of two that are missing, this release has no package of the first."""
    ready.needs(b_tool="wanted", c_tool="wanted")
    tool = f"{ready.bin}/c-tool"
    script = f"printf '#!/bin/sh\\necho 1.0\\n' >{tool}; chmod +x {tool}"
    apt_get(ready, f'case "$*" in *b-tool-deb*) exit 100 ;; *) {script} ;; esac')
    done = ready.run("run")
    assert (done.code, done.out) == (0, "s2eval run plans/quickstart.toml\n")
    assert "could not install; by hand (as root): " in done.err
    assert shutil.which("c-tool", path=str(ready.bin))


def test_only_the_tests_get_what_only_they_need(ready: Project) -> None:
    """And they go on without: their tests are skipped."""
    ready.needs(no_such_tool="test")
    (ready.home / "apt").unlink(missing_ok=True)
    apt_get(ready, "exit 100")
    done = ready.run("run")
    assert (done.code, done.err) == (0, "")
    assert not (ready.home / "apt").exists()
    done = ready.run("test")
    assert (done.code, done.out) == (0, "tox\n"), done.err
    assert "no-such-tool missing: for the test" in done.err
    assert (ready.home / "apt").read_text().endswith(" no-such-tool-deb\n")
    done = ready.run("test", "--no-install")
    assert (done.code, done.out) == (0, "tox\n")


def test_a_package_makes_no_server(ready: Project) -> None:
    """What Debian's postgresql calls once it is installed does nothing."""
    ready.needs(no_such_tool="test")
    ready.program("pg_createcluster", 'echo made >>"$HOME/made"')
    apt_get(
        ready,
        "for a; do case $a in DPkg::Path=*) PATH=${a#*=} ;; esac; done; "
        'pg_createcluster 15 main || echo missing >>"$HOME/made"',
    )
    assert ready.run("test").code == 0
    assert not (ready.home / "made").exists()


@pytest.mark.parametrize(("install", "said"), [("true", "still not right"), ("false", "by hand")])
def test_an_install_that_does_not_help(ready: Project, install: str, said: str) -> None:
    ready.needs(no_such_tool="required")
    apt_get(ready, install)
    done = ready.run("run")
    assert (done.code, done.out) == (125, "")
    assert said in done.err


def test_another_distribution_is_told_what_is_missing(ready: Project) -> None:
    """Its PATH has what bootstrap itself calls, and no apt-get."""
    ready.needs(no_such_tool="required")
    tools = ready.home / "other"
    tools.mkdir()
    for name in ("bash", "dirname", "readlink", "id", "flock", "cat", "getent", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "python3").symlink_to(sys.executable)
    done = ready.run("run", PATH=str(tools))
    assert (done.code, done.out) == (125, "")
    assert "no-such-tool missing" in done.err
    assert "no apt-get here: install the above by hand" in done.err
