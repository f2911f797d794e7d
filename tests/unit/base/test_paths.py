# SPDX-License-Identifier: GPL-2.0-only
"""Where names are looked for, and where results go."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from harness.base import paths
from harness.base.errors import MachineError, UsageError

MACHINE = "qemu-configs/m.toml"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder `here`, and a home, neither of them in a checkout."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("S2EVAL_DATA", "S2EVAL_RESULTS", "S2EVAL_CACHE", "S2EVAL_QEMU"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(paths, "PROJECT", tmp_path / "project")
    return tmp_path


def put(base: Path, name: str = MACHINE) -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_the_first_folder_that_has_a_name_decides(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EVAL_DATA", f"{folders}/a:{folders}/b")
    bases = [folders / name for name in ("project", "data/s2eval", "b", "a", "here")]
    assert paths.MACHINES.find("m") is None
    for base in bases:
        path = put(base)
        assert paths.MACHINES.find("m") == path
        assert paths.MACHINES.files() == {"m": path}
    assert paths.data_folders() == bases[::-1]


def test_the_environment_is_read_when_it_is_needed(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folders / "other")
    assert not paths.MACHINES.files()
    monkeypatch.chdir(folders / "other")
    assert list(paths.MACHINES.files()) == ["m"]


def test_a_file_of_the_same_name_is_found_behind_the_users_own(folders: Path) -> None:
    own, project = put(folders / "here"), put(folders / "project")
    assert paths.MACHINES.find("m", behind=own) == project
    assert paths.MACHINES.find("m", behind=project) is None
    assert paths.MACHINES.find("m", behind=put(folders, "elsewhere/x.toml")) == own


def test_suites_fragments_and_plans_have_names_of_their_own(folders: Path) -> None:
    suite = put(folders / "here", "guest-tests/one/suite.toml")
    put(folders / "here", "guest-tests/none/readme")
    assert paths.SUITES.files() == {"one": suite}
    assert paths.SUITES.find("one", behind=suite) is None
    assert paths.SUITES.find("none") is None
    put(folders / "here", "kernels/fragments/x.y.config")
    assert list(paths.FRAGMENTS.files()) == ["x.y"]
    assert not paths.KERNELS.files() and not paths.PLANS.files()


def test_what_is_not_the_projects_has_an_origin(folders: Path) -> None:
    assert paths.origin(put(folders / "project")) == ""
    assert paths.origin(put(folders / "here")) == str(folders / "here")


def test_an_installation_without_data_says_so(folders: Path) -> None:
    with pytest.raises(MachineError, match=r"incomplete, .*/project has no kernels and no qemu"):
        paths.check_installation()
    for name in paths.NEEDED:
        put(folders / "project", f"{name}/x")
    paths.check_installation()
    (folders / "project/plans/x").unlink()
    with pytest.raises(MachineError, match="has no plans: "):
        paths.check_installation()


def test_a_configured_folder_that_is_not_there(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in paths.NEEDED:
        put(folders / "project", f"{name}/x")
    monkeypatch.setenv("S2EVAL_DATA", "/none")
    with pytest.raises(UsageError, match="S2EVAL_DATA: /none: no such folder"):
        paths.check_installation()


def test_results_are_in_the_checkout_or_with_the_users_state(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paths.results_dir() == folders / "state/s2eval/results"
    checkout = folders / "checkout"
    for name in ("pyproject.toml", "harness/base/paths.py", "docs/x"):
        put(checkout, name)
    for name in paths.NEEDED:
        (checkout / name).mkdir()
    for folder in (checkout, checkout / "docs"):
        monkeypatch.chdir(folder)
        assert paths.results_dir() == checkout / "results"
    monkeypatch.setenv("S2EVAL_RESULTS", "mine")
    assert paths.results_dir() == Path("mine")


def test_relative_variables_begin_where_the_command_did(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("S2EVAL_CACHE", "S2EVAL_RESULTS", "S2EVAL_QEMU"):
        monkeypatch.setenv(name, "bin/x")
    monkeypatch.setenv("S2EVAL_DATA", f"a:{folders}/b")
    paths.make_environment_absolute()
    monkeypatch.chdir(folders)
    for name in ("S2EVAL_CACHE", "S2EVAL_RESULTS", "S2EVAL_QEMU"):
        assert os.environ[name] == f"{folders}/here/bin/x"
    assert os.environ["S2EVAL_DATA"] == f"{folders}/here/a:{folders}/b"
    monkeypatch.setenv("S2EVAL_QEMU", "qemu-system-aarch64")
    paths.make_environment_absolute()
    assert os.environ["S2EVAL_QEMU"] == "qemu-system-aarch64", "a name on PATH"


def test_a_folder_that_was_removed_has_no_names(folders: Path) -> None:
    shutil.rmtree(folders / "here")
    put(folders / "project")
    assert list(paths.MACHINES.files()) == ["m"]


def test_only_holding_the_cache_locks_it(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(folders / "cache"))

    def locked() -> bool:
        """Whether another than this process could not have the folder alone."""
        descriptor = os.open(folders / "cache", os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    assert paths.cache_dir("builds").is_dir() and not locked()
    paths.hold_cache()
    assert locked()
