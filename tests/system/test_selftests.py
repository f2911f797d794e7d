# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own KVM selftests on L1, built from the tree under test."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from harness.kernel import source
from harness.kernel.spec import resolve
from harness.results.records import Status
from tests.system.commands import KERNEL, S2Eval

BROKEN = "tools/testing/selftests/kvm/steal_time.c"


def test_kernels_own_tests_are_cases(s2eval: S2Eval) -> None:
    s2eval("run", "-k", KERNEL, "-m", "host-tcg", "-s", "kvm-selftests:quick")
    cell = s2eval.run().cells[0]
    found = {case.name: case for case in cell.cases}
    passed = {name for name, case in found.items() if case.status is Status.PASS}
    assert passed >= {"psci_test", "hypercalls", "vgic_irq", "kvm_page_table_test", "steal_time"}
    assert (found["psci_test"].seconds or 0) > 0
    # What 6.1.192 does not build itself is told, and no fault of the others.
    assert found["dirty_log_test"].status is Status.FAIL
    message = found["dirty_log_test"].message  # the linker's words, from gcc 14 on the compiler's
    assert re.search("(undefined reference to|implicit declaration of).*TEST_ASSERT_EQ", message)
    assert found["aarch32_id_regs"].status is Status.SKIP
    failed = {name for name, case in found.items() if case.status is Status.FAIL}
    assert failed == {"dirty_log_test", "vgic_init"}
    assert not cell.failure and "memslot_modification_stress_test" not in found


@pytest.mark.extended
def test_a_patch_that_breaks_the_build_of_a_selftest_says_so(
    s2eval: S2Eval, tmp_path: Path
) -> None:
    """The Image is the base's: the tests are not."""
    s2eval("build", KERNEL)
    base = source.find(resolve(KERNEL).source)
    assert base

    def git(*args: str) -> str:
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@localhost", *args]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    text = git("-C", str(base.tree.work), "show", f"{base.commit}:{BROKEN}")
    git("init", "-q", ".")
    path = tmp_path / BROKEN
    path.parent.mkdir(parents=True)
    path.write_text(text)
    git("add", "-A")
    git("commit", "-qm", "base")
    path.write_text(text.replace("int main(", "int main(no_such_type x, "))
    git("commit", "-qam", "KVM: selftests: break a test")
    git("format-patch", "-1", "-q")
    (patch,) = tmp_path.glob("*.patch")
    options = ("--kernel", KERNEL, "-m", "host-tcg", "-s", "kvm-selftests:quick", "--json")
    ran = s2eval("patch", str(patch), *options)
    told = json.loads(ran.out)
    (change,) = [c for c in told["changes"] if not c["repeats"]]
    assert change["path"] == "kvm-selftests:quick.steal_time"
    assert "no_such_type" in json.dumps(change["detail"])
    assert (ran.code, told["verdict"]) == (1, "regressed")
