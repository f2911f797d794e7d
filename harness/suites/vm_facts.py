# SPDX-License-Identifier: GPL-2.0-only
"""Facts of a suite that runs VMs itself, in the detail of the test that they are of. Pure."""

from __future__ import annotations

from harness.results.records import Observation, Status
from harness.suites.facts import UNREAD, Leaf, Vcpu


def complete(test: Observation, fact: Vcpu | Leaf) -> None:
    """Add a VMM's account, or the leaf that the harness read, to the test that it is of.

    A PASS whose tables could not be read becomes MISS: nothing is known about its leaf.
    """
    values = {key: value for key, value in vars(fact).items() if key != "test"}
    if isinstance(fact, Vcpu):
        test.value = values.pop("outcome")
        hexadecimal: tuple[str, ...] = ("address", "esr", "far")
    else:
        values = {"leaf": values.pop("stage2"), **values}
        if not fact.vmm:
            del values["vmm"]
        hexadecimal = ("descriptor", "pa")
        if fact.stage2 == UNREAD and test.status is Status.PASS:
            test.status = Status.MISS
            test.detail["reason"] = "the page tables could not be read"
    test.detail.update(
        {key: hex(value) if key in hexadecimal else value for key, value in values.items()}
    )
