# SPDX-License-Identifier: GPL-2.0-only
"""The configuration of a machine, and names of kernels that start from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.base.paths import host_config
from harness.kernel.config.machine import machine_config, read
from harness.kernel.spec import resolve

OPTIONS = """
#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_ARM64=y
CONFIG_VIRTIO_NET=m
# CONFIG_XEN is not set
CONFIG_LOCALVERSION="-7"
"""


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def keep(options: str = OPTIONS, *modules: str) -> Path:
    file = host_config("grace")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(machine_config(options, modules).text)
    return file


def test_a_file_has_what_was_kept() -> None:
    kept = read(keep(OPTIONS, "virtio_net", "dm_mod"))
    assert kept.modules == ("dm_mod", "virtio_net")
    assert kept.options.splitlines() == [
        "CONFIG_ARM64=y",
        "CONFIG_VIRTIO_NET=m",
        "# CONFIG_XEN is not set",
        'CONFIG_LOCALVERSION="-7"',
    ]
    assert kept.digest != read(keep(OPTIONS, "virtio_net")).digest


def test_names_that_are_none_of_a_module_are_left_out() -> None:
    assert machine_config(OPTIONS, ["a b", "", "../x", "ext4"]).modules == ("ext4",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CONFIG_ARM64=y\n", "not written by s2eval host config"),
        ("# s2eval: modules loaded: ext4\nhello\n", "no line of it is an option"),
    ],
)
def test_a_file_that_is_no_configuration_of_a_machine(text: str, message: str) -> None:
    file = keep()
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read(file)


def test_a_kernel_for_a_machine() -> None:
    with pytest.raises(UsageError, match=r"\+host=grace: no .*: s2eval host config grace "):
        resolve("debian-6.1+host=grace")
    file = keep()
    assert resolve("debian-6.1+host=grace").machine == str(file)
    spec = resolve(f"debian-6.1+stage2-normal-nc+host={file}")
    assert (spec.machine, spec.series) == (str(file), ("stage2-normal-nc",))
    assert resolve("debian-6.1").machine == ""
    with pytest.raises(UsageError, match=r"for one machine, \+host=grace or dell"):
        resolve("debian-6.1+host=grace+host=dell")
