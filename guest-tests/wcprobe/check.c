// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mapping and an accessor must do: the type of stage 1, and that what is stored
 * and loaded arrives whole, once and in its place.
 *
 * A test that stores uses its own region alone, fills it first with what it will not
 * store (so that nothing left by an earlier guest can pass for it), and reads back
 * through both mappings. An "expect" line lets the host check the same bytes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <s2eval/access.h>
#include <s2eval/compat.h>
#include <s2eval/pattern.h>
#include <s2eval/stage1.h>

#include "wcprobe.h"

static char *damage;
module_param(damage, charp, 0444);
MODULE_PARM_DESC(damage, "spoil what is stored: lost, doubled, torn, misplaced");

/* The last one of a block of 64 bytes: its neighbour differs even where a block is filled. */
#define DAMAGED_WORD	7

void want_bytes(const struct step *step, void *bytes, unsigned int first, size_t size)
{
	size_t fill = step->accessor ? step->accessor->fill : 0;
	u64 *words = bytes;
	size_t i;

	for (i = 0; i < size / sizeof(u64); i++)
		words[i] = pattern_word(step->seed, first + i);
	for (i = 0; fill && i < size; i += fill)
		memset(bytes + i, *(u8 *)(bytes + i), fill);
}

void sync_stores(const struct step *step, void __iomem *io, size_t size)
{
	finish_stores();
	if (attr_is_cacheable(step->mapping->attr))
		clean_cache(io, size);
}

void announce_pattern(struct step *step, size_t offset, size_t size)
{
	size_t fill = step->accessor ? step->accessor->fill : 0;
	char text[24] = "";

	if (fill)
		scnprintf(text, sizeof(text), " fill=%zu", fill);
	report_line(step->report, "# s2eval: expect test=%s offset=%#zx size=%#zx seed=%#llx%s",
		    step->path, step->offset + offset, size, step->seed, text);
}

void fill_inverse(struct step *step, unsigned int words)
{
	unsigned int i;

	for (i = 0; i < words; i++)
		writeq(~pattern_word(step->seed, i), step->reference + i * sizeof(u64));
	/* The cache may hold what was there before. */
	sync_stores(step, step->io, words * sizeof(u64));
}

/* As a device or a bus would that loses, doubles, tears or misplaces a store. */
static void spoil(struct step *step, const u64 *want)
{
	void __iomem *io = step->reference + DAMAGED_WORD * sizeof(u64);
	u64 word = want[DAMAGED_WORD], next = want[DAMAGED_WORD + 1];

	if (!strcmp(damage, "lost")) {
		writeq(~word, io);
	} else if (!strcmp(damage, "doubled")) {
		writeq(word, io + sizeof(u64));
	} else if (!strcmp(damage, "torn")) {
		writel(~upper_32_bits(word), io + sizeof(u32));
	} else if (!strcmp(damage, "misplaced")) {
		writeq(next, io);
		writeq(word, io + sizeof(u64));
	}
	finish_stores();
}

static bool read_back(struct step *step, const void __iomem *io, const u64 *want,
		      const char *through)
{
	unsigned int i;
	u64 got;

	for (i = 0; i < CHECK_WORDS; i++) {
		got = readl(io + i * 8) | (u64)readl(io + i * 8 + 4) << 32;
		if (got != want[i]) {
			step_fail(step, "%s reads %#llx instead of %#llx at BAR offset %#zx",
				  through, got, want[i], step->offset + i * 8);
			return false;
		}
	}
	return true;
}

static enum verdict check_store(struct step *step, const u64 *want)
{
	const struct accessor *accessor = step->accessor;
	struct simd simd;
	bool same, other;

	fill_inverse(step, CHECK_WORDS);
	if (accessor->simd)
		simd_begin(&simd);
	accessor->store(step->io, want, CHECK_SIZE);
	if (accessor->simd)
		simd_end(&simd);
	sync_stores(step, step->io, CHECK_SIZE);
	if (damage)
		spoil(step, want);
	announce_pattern(step, 0, CHECK_SIZE);
	same = read_back(step, step->io, want, "the same mapping");
	other = read_back(step, step->reference, want, "another mapping");
	return same && other ? PASS : FAIL;
}

static enum verdict check_load(struct step *step, const u64 *want, u64 *got)
{
	const struct accessor *accessor = step->accessor;
	struct simd simd;
	unsigned int i;

	for (i = 0; i < CHECK_WORDS; i++) {
		got[i] = ~want[i];
		writeq(want[i], step->reference + i * sizeof(u64));
	}
	sync_stores(step, step->io, CHECK_SIZE);
	if (accessor->simd)
		simd_begin(&simd);
	accessor->load(got, step->io, CHECK_SIZE);
	if (accessor->simd)
		simd_end(&simd);
	for (i = 0; i < CHECK_WORDS; i++)
		if (got[i] != want[i])
			return step_fail(step, "loads %#llx instead of %#llx at BAR offset %#zx",
					 got[i], want[i], step->offset + i * sizeof(u64));
	return PASS;
}

enum verdict probe_accessor(struct step *step)
{
	u64 *want = kmalloc(2 * CHECK_SIZE, GFP_KERNEL);
	enum verdict verdict;

	if (!want)
		return step_fail(step, "no memory for %u bytes", 2 * CHECK_SIZE);
	want_bytes(step, want, 0, CHECK_SIZE);
	if (step->accessor->store)
		verdict = check_store(step, want);
	else
		verdict = check_load(step, want, want + CHECK_WORDS);
	kfree(want);
	return verdict;
}

enum verdict probe_stage1(struct step *step)
{
	const struct mapping *mapping = step->mapping;
	u64 par = read_par(step->io);
	u8 attr = par_attr(par);

	/* Stage 2 is filled by a touch only, and an audit wants to see it. */
	readl(step->io);
	if (audit)
		report_line(step->report, "# s2eval: audit mapping=%s va=%#lx ipa=%#llx size=%#zx",
			    mapping->name, (unsigned long)step->window,
			    (u64)step->window_start, step->window_size);
	if (par_fault(par))
		return step_fail(step, "AT S1E1R of the mapping faults, PAR_EL1 is %#llx", par);

	step_word(step, "type", attr_name(attr));
	if (attr != mapping->attr)
		return step_fail(step, "stage 1 is %s (%#04x), %s promises %s (%#04x)",
				 attr_name(attr), attr, mapping->name,
				 attr_name(mapping->attr), mapping->attr);
	return PASS;
}
