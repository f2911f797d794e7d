# SPDX-License-Identifier: GPL-2.0-only
"""Leases on a real machine over SSH: two users, killed ones, boots, and a wrong clock."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness.hosts.lab import lease as module
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.lease import Lease, force_release, holder, lease_file
from harness.hosts.lab.link import Link
from tests.ssh_server import Proxy, SshServer
from tests.unit.hosts.lab.conftest import PATIENCE, soon


def file_of(link: Link) -> Path:
    return Path(lease_file(link.host))


def age(link: Link, *, boot: str = "", until: str = "", length: str = "") -> None:
    """Rewrite lines of the lease on the machine."""
    lines = file_of(link).read_text().splitlines()
    new = [mine or old for mine, old in zip((boot, until, length, ""), lines, strict=True)]
    file_of(link).write_text("\n".join(new) + "\n")


def test_one_has_it_and_gives_it_back(link: Link) -> None:
    assert holder(link, soon()) is None
    with Lease(link, "alice@laptop", minutes=5):
        seen = holder(link, soon())
        assert seen and seen.owner == "alice@laptop"
        assert 290 <= seen.seconds <= 300
    assert holder(link, soon()) is None
    assert not file_of(link).exists()


def test_a_second_user_is_told_who_has_it_and_how_long(link: Link) -> None:
    with Lease(link, "alice@laptop", minutes=5):
        with pytest.raises(LabError) as error, Lease(link, "bob@desk"):
            raise AssertionError("both have it")
        assert error.value.step is Step.LEASE
        assert str(error.value) == (
            "bench: lease: held by alice@laptop, for 5 min more unless renewed: "
            "wait, or s2eval host release bench --force"
        )
        assert holder(link, soon())


def test_a_second_user_who_waits_gets_it(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.05)
    first = Lease(link, "alice@laptop")
    first.__enter__()
    told: list[str] = []

    def waiting(who: str) -> None:
        told.append(who)
        threading.Thread(target=first.release).start()

    with Lease(link, "bob@desk", wait=soon(), waiting=waiting):
        seen = holder(link, soon())
        assert seen and seen.owner == "bob@desk"
    assert told == ["alice@laptop, for 15 min more unless renewed"]


def test_of_many_at_once_one_gets_it(server: SshServer) -> None:
    got: list[str] = []
    refused: list[LabError] = []
    start, done = threading.Barrier(4), threading.Barrier(4)

    def user(name: str) -> None:
        with Link(server.host()) as link:
            link.connect(soon())
            start.wait(PATIENCE)
            try:
                with Lease(link, name):
                    got.append(name)
                    done.wait(PATIENCE)
            except LabError as error:
                refused.append(error)
                done.wait(PATIENCE)

    threads = [threading.Thread(target=user, args=(f"user{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(got) == 1 and len(refused) == 3
    assert all(got[0] in str(error) for error in refused)


def test_it_is_renewed(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESHES", 600)  # every 0.1 s
    with Lease(link, "alice@laptop", minutes=1):
        age(link, until="1")
        end = time.monotonic() + PATIENCE
        while holder(link, soon()) is None:
            assert time.monotonic() < end


def test_that_of_a_killed_one_runs_out(link: Link) -> None:
    killed = Lease(link, "alice@laptop")
    killed._take()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    age(link, until=str(int(uptime) - 1))
    with Lease(link, "bob@desk"):
        seen = holder(link, soon())
        assert seen and seen.owner == "bob@desk"
        with pytest.raises(LabError, match="lost to bob@desk") as error:
            killed.renew()
        assert error.value.step is Step.LEASE
        with pytest.raises(LabError, match="lost to bob@desk"):
            killed.check()
        killed.release()  # what it has lost it does not give back
        assert holder(link, soon()) == seen or holder(link, soon())


@pytest.mark.parametrize("how", ["runs out", "by force"])
def test_who_follows_in_one_kernel_follows_in_the_next_one(link: Link, how: str) -> None:
    """A killed run's lease is in the memory of its kernel under test, and on the machine's disk."""
    killed = Lease(link, "alice@laptop")
    killed._take()
    on_disk = file_of(link).read_text()
    if how == "runs out":
        age(link, until="1")
    else:
        force_release(link, soon())
    with Lease(link, "bob@desk") as lease:
        file_of(link).write_text(on_disk)  # the machine's own kernel runs again
        lease.renew()
        seen = holder(link, soon())
        assert seen and seen.owner == "bob@desk"
        file_of(link).write_text(on_disk.replace(killed._token, "somebody-else's"))
        with pytest.raises(LabError, match="lost to alice@laptop"):
            lease.renew()


def test_a_boot_neither_ends_it_nor_makes_it_last(link: Link) -> None:
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    mine = Lease(link, "alice@laptop")
    mine._take()
    age(link, boot="that-of-an-earlier-boot", until="999999999", length=str(int(uptime) + 600))
    seen = holder(link, soon())
    assert seen and 590 <= seen.seconds <= 601
    mine.renew()  # its owner comes back
    assert "that-of-an-earlier-boot" not in file_of(link).read_text()
    age(link, boot="that-of-an-earlier-boot", until="999999999", length=str(int(uptime) - 1))
    assert holder(link, soon()) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")
def test_a_wrong_clock_does_not_matter(link: Link) -> None:
    """The clock cannot be set in a namespace; the script is run where date and stat lie."""
    mine = Lease(link, "alice@laptop")
    mine._take()
    os.utime(file_of(link), (0, 0))  # as a machine with a clock of 1970 would have written it
    seen = holder(link, soon())
    assert seen and 890 <= seen.seconds <= 900
    assert "date" not in module.SCRIPT.read_text().replace("update", "")


def test_a_machine_that_has_gone_mute_does_not_hold_its_end(
    server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVING", 0.5)
    monkeypatch.setattr(module, "REFRESHES", 600)
    with Proxy(server.port) as proxy:
        server.trust(proxy.port)
        far = f"{server.user}@127.0.0.1:{proxy.port}"
        with Link(server.host(address=far, limits={"command": 600})) as link:
            link.connect(soon())
            with Lease(link, "alice@laptop", minutes=1):
                proxy.mute = True
    with Link(server.host()) as link:
        link.connect(soon())
        assert holder(link, soon())  # it runs out


def test_by_force(link: Link) -> None:
    with Lease(link, "alice@laptop") as first:
        had = force_release(link, soon())
        assert had and had.owner == "alice@laptop"
        assert force_release(link, soon()) is None
        with pytest.raises(LabError, match="released by force by") as error:
            first.renew()
        assert error.value.step is Step.LEASE
        with Lease(link, "bob@desk"):
            pass


def test_without_flock_a_folder_does(link: Link, tmp_path: Path) -> None:
    """As in a system that is busybox alone; what a killed one left does not last."""
    for name in ("sh", "cat", "mkdir", "rmdir", "mv", "rm", "sync", "sleep"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True)
        (tmp_path / name).symlink_to(found.stdout.strip())

    def call(action: str, token: str, owner: str) -> str:
        argv = ["sh", str(module.SCRIPT), action, str(file_of(link)), token, owner, "60"]
        env = {"PATH": str(tmp_path)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    assert call("take", "a", "alice") == "free\n"
    assert call("take", "b", "bob").endswith(" alice\n")
    assert [path.name for path in file_of(link).parent.iterdir()] == ["lease"]
    assert call("give", "a", "alice") == "free\n"
    file_of(link).with_name("lease.locked").mkdir()
    assert call("take", "b", "bob") == "free\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server has mounts of its own")
def test_a_full_disk_is_told_as_that(link: Link) -> None:
    folder = link.host.folder
    mount = f"mkdir -p {folder} && mount -t tmpfs -o size=64k tmpfs {folder}"
    link.shell(f"{mount} && cat /dev/zero > {folder}/fill", soon())
    with pytest.raises(LabError, match="No space left") as error, Lease(link, "alice@laptop"):
        raise AssertionError("there is no room for it")
    assert error.value.step is Step.DISK
