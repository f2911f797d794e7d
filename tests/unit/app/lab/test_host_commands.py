# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval host` on a real SSH server: what is asked, written, found lacking, refused.

The server's machine is this one, so what it is differs from place to place.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.app.lab import config, use
from harness.app.lab.add import AddRequest, Questions, add
from harness.app.lab.check import check, render
from harness.base.deadline import Deadline
from harness.base.errors import UsageError
from harness.base.paths import ROOT, private_hosts
from harness.hosts.lab.boot.state import MachineState, read_state
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile, load, own_known_hosts
from harness.hosts.lab.lease import Lease
from harness.hosts.lab.link import Link
from harness.hosts.lab.survey.survey import PciDevice, Survey, survey
from harness.kernel.config.machine import read
from tests.ssh_server import SshServer
from tests.unit.hosts.lab.conftest import soon


def silent(*, agree: bool = True) -> Questions:
    def ask(text: str) -> str:
        raise AssertionError(f"asked: {text}")

    return Questions(ask, lambda text: agree, silent=True)


def address(server: SshServer) -> str:
    return f"{server.user}@127.0.0.1:{server.port}"


def request(server: SshServer, **values: object) -> AddRequest:
    return AddRequest("bench", address(server), key=str(server.key), **values)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_known_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own files are not read."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def write(server: SshServer, **more: str) -> HostFile:
    """Write the host `bench`, whose folder is the test's own."""
    values = {**server.values(), **more}
    lines = [f"{key} = {json.dumps(text)}" for key, text in values.items() if key != "name"]
    private_hosts().mkdir(parents=True, exist_ok=True)
    (private_hosts() / "bench.toml").write_text("\n".join(lines) + "\n")
    return load("bench")


def test_add_writes_a_file_that_leads_to_the_machine(server: SshServer) -> None:
    said: list[str] = []
    file = add(request(server, description='a "bench"'), silent(), said.append)
    assert file == private_hosts() / "bench.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    host = load("bench")
    assert host.description == 'a "bench"'
    assert host.boot.safe == platform.release()
    assert platform.machine() in said[0]
    assert own_known_hosts().read_text().startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
    with Link(host) as link:
        link.connect(soon())


def test_add_writes_what_a_run_would_ask_the_machine_for(
    server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is a virtual machine, and what its device is."""
    device = PciDevice("0000:01:00.0", "1af4:1110", "0500", "vfio-pci", "3")

    def with_device(link: Link, bdf: str, deadline: Deadline) -> Survey:
        return replace(survey(link, "", deadline), devices={device.bdf: device})

    def of_a_vm(link: Link, deadline: Deadline) -> MachineState:
        return replace(read_state(link, deadline), virtual=True)

    monkeypatch.setattr("harness.app.lab.add.survey", with_device)
    monkeypatch.setattr("harness.app.lab.add.read_state", of_a_vm)
    add(request(server, device=device.bdf), silent(), print)
    host = load("bench")
    assert host.virtual and host.device
    assert (host.device.pci, host.device.driver) == (device.ident, "")


def test_add_asks_for_what_the_machine_cannot_know(server: SshServer) -> None:
    asked: list[str] = []
    answers = {
        "serial console": "telnet 1 2001",
        "switches its power on": "pdu on",
        "prints": "pdu",
    }

    def ask(text: str) -> str:
        asked.append(text)
        return next((answer for words, answer in answers.items() if words in text), "")

    add(request(server), Questions(ask, lambda text: True), lambda _: None)
    host = load("bench")
    assert host.console == "telnet 1 2001"
    assert (host.power.on, host.power.off, host.power.status) == ("pdu on", "", "pdu")
    assert all("(empty: none)" in text for text in asked)


def test_add_without_agreement_takes_no_key(server: SshServer) -> None:
    with pytest.raises(LabError, match=r"SHA256:.* is not known") as error:
        add(request(server), silent(agree=False), lambda _: None)
    assert error.value.step is Step.HOST_KEY
    assert not own_known_hosts().exists()
    assert not private_hosts().exists()


def test_add_refuses_what_is_wrong(server: SshServer) -> None:
    write(server)
    for bad, message in (
        (request(server), "bench is there already, .*bench.toml: edit it, or --force"),
        (AddRequest("a/b", "x"), "'a/b' is no name for a host"),
        (AddRequest("new", "x y"), r"--address: 'x y' is not \[USER@\]HOST\[:PORT\]"),
        (AddRequest("new", "x", device="1:0.0"), "--device: string should match pattern"),
        (
            request(server, device="ffff:ff:1f.7", replace=True),
            "bench has no PCI device ffff:ff:1f.7",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            add(bad, silent(), lambda _: None)
    assert load("bench").folder == server.values()["folder"]  # as it was


def test_check_finds_what_lacks_and_leaves_nothing(server: SshServer) -> None:
    host = write(server, console="echo login:; cat")
    report = check("bench")
    found = {one.name: one for one in report.checks}
    assert found["SSH"].state == "ok"
    assert found["lease"].detail == "free"
    assert found["console"].detail == "stays open, and says: login:"
    assert found["power"].state == "note"
    assert (found["device"].state, report.ok) == ("missing", False)
    assert not Path(host.folder).exists()
    lines = list(render(report))
    assert any(line.startswith("MISSING device") for line in lines)
    assert lines[-1].startswith("bench lacks ")


def test_check_of_a_machine_that_does_not_answer_goes_on(server: SshServer) -> None:
    write(server, console="exit 1")
    server.stop()
    found = {one.name: one for one in check("bench").checks}
    assert found["SSH"].state == "missing"
    assert "s2eval host power bench status" in found["SSH"].way
    assert found["console"].state == "missing"


def test_config_keeps_what_the_machine_has(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the machine tells its options differs, so a file stands for them here."""
    write(server)
    (tmp_path / "options").write_text("# a comment\nCONFIG_NET=y\nCONFIG_VETH=m\n")
    monkeypatch.setattr(config, "_OPTIONS", f"cat {tmp_path}/options")
    said: list[str] = []
    kept = read(config.keep_config("bench", said.append))
    assert kept.options == "CONFIG_NET=y\nCONFIG_VETH=m\n"
    loaded = [state.parent.name for state in Path("/sys/module").glob("*/initstate")]
    assert kept.modules == tuple(sorted(loaded))
    assert f"{len(loaded)} modules loaded" in said[0]
    monkeypatch.setattr(config, "_OPTIONS", f"cat {tmp_path}/none")
    with pytest.raises(LabError, match="bench: kernel: no configuration: neither /proc/config"):
        config.keep_config("bench", said.append)


def test_check_tells_who_has_the_lease(server: SshServer, link: Link) -> None:
    write(server)
    with Lease(link, "alice@laptop"):
        lease = next(one for one in check("bench").checks if one.name == "lease")
    assert lease.state == "note"
    assert lease.detail.startswith("held by alice@laptop, for 15 min more")


def test_release_is_for_ones_own_unless_forced(server: SshServer, link: Link) -> None:
    write(server)
    assert use.release("bench", force=False) is None
    with Lease(link, "alice@laptop") as lease:
        with pytest.raises(LabError, match=r"held by alice@laptop.*--force") as error:
            use.release("bench", force=False)
        assert error.value.step is Step.LEASE
        lease.renew()
        had = use.release("bench", force=True)
        assert had and had.owner == "alice@laptop"
        with pytest.raises(LabError, match="released by force"):
            lease.renew()
    with Lease(link):
        assert use.release("bench", force=False)


def test_power_is_not_switched_under_another_user(
    server: SshServer, link: Link, tmp_path: Path
) -> None:
    write(server)
    with (private_hosts() / "bench.toml").open("a") as out:
        out.write(f"[power]\non = 'touch {tmp_path}/on'\nstatus = 'echo on'\n")
    said: list[str] = []
    with Lease(link, "alice@laptop"):
        with pytest.raises(LabError, match="held by alice@laptop"):
            use.power("bench", "on", force=False, say=said.append)
        assert use.power("bench", None, force=False, say=said.append) == "on"
        assert not (tmp_path / "on").exists()
        assert use.power("bench", "on", force=True, say=said.append) == "on"
    assert (tmp_path / "on").exists()
    assert said == []
    server.stop()  # as of a machine that hangs
    use.power("bench", "on", force=False, say=said.append)
    assert len(said) == 1 and "nobody knows who has the machine" in said[0]


def test_a_shell_goes_the_links_way(server: SshServer) -> None:
    """By OpenSSH's client, also through a jump host, with the same keys and known hosts."""
    write(server)
    for host in (load("bench"), load("bench").model_copy(update={"jump": address(server)})):
        line = [*use.ssh_command(host), "echo far; exit 3"]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (3, "far\n"), done.stderr
    server.stop()
    server.new_host_key()
    server.start()
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 255


def test_console_needs_a_command(server: SshServer) -> None:
    write(server)
    with pytest.raises(UsageError, match="bench has no console"):
        use.console("bench")
    write(server, console="exit 4")
    assert use.console("bench") == 4


def test_list_shows_a_file_that_is_wrong(server: SshServer) -> None:
    write(server)
    (private_hosts() / "broken.toml").write_text("adress = 'x'\n")
    rows = {entry.name: entry for entry in use.entries()}
    assert rows["bench"].address == address(server)
    assert "unknown key 'adress'" in rows["broken"].problem
    assert any("broken" in line and "unknown key" in line for line in use.render(use.entries()))


def test_commands_of_the_command_line(server: SshServer) -> None:
    def s2eval(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harness", "host", *args]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    options = ["--address", address(server), "--key", str(server.key)]
    refused = s2eval("add", "bench", *options)
    assert refused.returncode == 125
    assert "is not known" in refused.stderr and refused.stderr.count("\n") == 1
    done = s2eval("add", "bench", *options, "--yes", "--console", "cat")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "next: s2eval host check bench"
    assert s2eval("shell", "bench", "--", "exit 5").returncode == 5
    assert "bench" in [entry["name"] for entry in json.loads(s2eval("list", "--json").stdout)]
    assert s2eval("power", "bench", "on").returncode == 125
    unknown = s2eval("check", "bunch")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "s2eval: unknown host 'bunch': did you mean 'bench'?\n",
    )
