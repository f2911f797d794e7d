# SPDX-License-Identifier: GPL-2.0-only
"""Statements of C by their lines."""

from __future__ import annotations

import pytest

from harness.evaluate.patch.reach.statements import Statement, statements

# Shaped as kernel code is: arch/arm64/kvm/mmu.c, with what may deceive a reader of it.
TEXT = """\
#define MAX(a, b) \\
	((a) > (b) ? (a) : (b))
static int fault(struct kvm_vcpu *vcpu,
		unsigned long hva)
{
	int ret; /* of the "fault; */

	if (is_error(hva) &&
		ret > 3)
		return -EFAULT;
	else
		pr_info("a; \\"b\\" {",
			hva);
	for (i = 0; i < 3; i++)
		x += i;
	list_for_each_entry(a, &list, b)
		kfree(a);
out:
	/*
	* if (nothing)
	*/
	switch (ret) {
	case 1:
		y = ';';
	default: break;
	}
#ifdef CONFIG_X
	z = 1; // one; two
#endif
	do {
		n++;
	} while (n < 2);
	return ret;
}
"""
SPANS = [
    (1, 2), (3, 4), (6, 6), (8, 9), (10, 10), (11, 11), (12, 13), (14, 14), (15, 15), (16, 16),
    (17, 17), (18, 18), (22, 22), (23, 23), (24, 24), (25, 25), (27, 27), (28, 28), (29, 29),
    (30, 30), (31, 31), (32, 32), (33, 33),
]  # fmt: skip


def test_each_statement_has_its_lines() -> None:
    found = statements(TEXT)
    spans = sorted({(one.first, one.last) for one in found.values()})
    assert spans == SPANS
    assert {line for line, one in found.items() if one.directive} == {1, 2, 27, 29}


@pytest.mark.parametrize("line", [5, 7, 19, 20, 21, 26, 34])
def test_comments_blank_lines_and_braces_belong_to_none(line: int) -> None:
    assert line not in statements(TEXT)


def test_text_that_ends_in_the_middle() -> None:
    assert statements("int x = f(a,\n  b")[2] == Statement(1, 2)
    assert statements("/* never closed\nx = 1;") == {}
    assert statements("") == {}
