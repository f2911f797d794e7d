// SPDX-License-Identifier: GPL-2.0-only
/*
 * One unaligned load and one store: Device memory must fault, Normal must not (Arm
 * ARM, "Alignment of data accesses"). edges.c has many of them.
 *
 * Each one is the first touch of a mapping of its own: some emulators check the
 * alignment only when the access fills the TLB.
 */
#include <linux/kernel.h>

#include <s2eval/access.h>
#include <s2eval/pattern.h>
#include <s2eval/stage1.h>

#include "wcprobe.h"

/* What both say of a load or a store at offset 1 of the region. */
static enum verdict judge_outcome(struct step *step, int error, u64 got, u64 want)
{
	bool device = attr_is_device(step->mapping->attr);

	step_word(step, "outcome", error ? "faults" : "works");
	if (device && !error)
		return step_fail(step, "an unaligned access to %s memory works, it must fault",
				 attr_name(step->mapping->attr));
	if (!device && error)
		return step_fail(step, "an unaligned access to %s memory faults, it must work",
				 attr_name(step->mapping->attr));
	if (got != want)
		return step_fail(step, "the bytes are %#llx instead of %#llx", got, want);
	return PASS;
}

/* Eight bytes at offset 1 of the region, through the reference mapping. */
static u64 read_unaligned(struct step *step)
{
	u64 low = readq(step->reference);
	u64 high = readq(step->reference + 8);

	return low >> 8 | high << 56;
}

enum verdict probe_unaligned_load(struct step *step)
{
	void __iomem *fresh;
	u64 want, got;
	int error;

	if (no_alignment)
		return step_skip(step, no_alignment);
	fill_inverse(step, 2);
	want = read_unaligned(step);
	fresh = step_map(step, REGION_SIZE);
	if (!fresh)
		return step_fail(step, "%s returns NULL", step->mapping->name);
	error = guarded_load64(fresh + 1, &got);
	step_unmap(step, fresh);
	return judge_outcome(step, error, error ? want : got, want);
}

enum verdict probe_unaligned_store(struct step *step)
{
	u64 word = pattern_word(step->seed, 0);
	void __iomem *fresh;
	u64 before;
	int error;

	if (no_alignment)
		return step_skip(step, no_alignment);
	fill_inverse(step, 2);
	before = read_unaligned(step);
	fresh = step_map(step, REGION_SIZE);
	if (!fresh)
		return step_fail(step, "%s returns NULL", step->mapping->name);
	error = guarded_store64(fresh + 1, word);
	finish_stores();
	step_unmap(step, fresh);
	if (!error)
		announce_pattern(step, 1, sizeof(word));
	/* A store that faulted must not have changed anything. */
	return judge_outcome(step, error, read_unaligned(step), error ? before : word);
}
