# SPDX-License-Identifier: GPL-2.0-only
"""Settings of a machine for measurements, on files that stand for its /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.hosts.lab.boot import tuning
from harness.hosts.lab.boot.tuning import restore, tune
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import Tuning
from harness.hosts.lab.link import Link
from tests.unit.hosts.lab.conftest import soon

PAGES = "proc/sys/vm/nr_hugepages"
GOVERNORS = [f"sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor" for n in (0, 1)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the machine's root."""
    root = tmp_path / "root"
    for name, value in {PAGES: "7", GOVERNORS[0]: "schedutil", GOVERNORS[1]: "performance"}.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(f"{value}\n")
    script = tmp_path / "tuning.sh"
    text = tuning.SCRIPT.read_text()
    assert text.count("root=$5\n") == 1
    script.write_text(text.replace("root=$5\n", f"root={root}\n"))
    monkeypatch.setattr(tuning, "SCRIPT", script)
    return root


def settings(root: Path) -> list[str]:
    return [(root / name).read_text().strip() for name in (PAGES, *GOVERNORS)]


def ask(link: Link, **wanted: object) -> Link:
    link.host = link.host.model_copy(update={"tuning": Tuning.model_validate(wanted)})
    return link


def kept(link: Link) -> Path:
    return Path(link.host.folder, "tuning")


def test_what_the_file_asks_for_is_set_and_given_back(link: Link, root: Path) -> None:
    tune(ask(link, hugepages=64, governor="performance"), soon())
    assert settings(root) == ["64", "performance", "performance"]
    restore(link, soon())
    assert settings(root) == ["7", "schedutil", "performance"]
    assert not kept(link).exists()


def test_nothing_is_touched_where_nothing_is_asked_for(link: Link, root: Path) -> None:
    tune(ask(link, cpus="0-1"), soon())
    assert not kept(link).exists()
    tune(ask(link, hugepages=3), soon())
    assert settings(root) == ["3", "schedutil", "performance"]


def test_after_a_killed_run_the_first_values_come_back(link: Link, root: Path) -> None:
    tune(ask(link, hugepages=64), soon())
    tune(ask(link, hugepages=32, governor="powersave"), soon())
    assert settings(root) == ["32", "powersave", "powersave"]
    restore(link, soon())
    assert settings(root) == ["7", "schedutil", "performance"]


def test_values_of_an_earlier_boot_are_not_given_back(link: Link, root: Path) -> None:
    tune(ask(link, hugepages=64), soon())
    lines = kept(link).read_text().splitlines()
    kept(link).write_text("\n".join(["another boot", *lines[1:]]) + "\n")
    restore(link, soon())
    assert settings(root)[0] == "64" and not kept(link).exists()


@pytest.mark.parametrize(
    ("file", "asked", "message"),
    [
        (PAGES, {"hugepages": 64}, r"^bench: tuning: .*nr_hugepages is not there: .* CONFIG_HUGE"),
        (
            GOVERNORS[0],
            {"governor": "fast"},
            r"the governor stays unknown, .* asks for fast",
        ),
    ],
)
def test_a_setting_that_does_not_take_is_named_and_the_others_given_back(
    link: Link, root: Path, file: str, asked: dict[str, object], message: str
) -> None:
    (root / file).unlink()
    (root / file).symlink_to("/dev/null")
    with pytest.raises(LabError, match=message) as error:
        tune(ask(link, **asked), soon())
    assert error.value.step is Step.TUNING
    assert settings(root)[2] == "performance"


def test_a_folder_that_cannot_be_written_is_named(link: Link, root: Path) -> None:
    link.host = link.host.model_copy(update={"folder": "/proc/none"})
    with pytest.raises(LabError, match=r"bench: tuning: .*proc/none"):
        tune(ask(link, hugepages=2), Deadline(60))
    assert settings(root)[0] == "7"
