// SPDX-License-Identifier: GPL-2.0-only
/*
 * The probes that judge: what a mapping must do.
 *
 * Those that write use the region of the test alone, fill it first with what the
 * pattern is not (so that nothing left by an earlier guest can pass for it), and
 * read back through both mappings. An "expect" line lets the host check the same bytes.
 */
#include <linux/kernel.h>

#include <s2eval/access.h>
#include <s2eval/pattern.h>
#include <s2eval/stage1.h>

#include "wcprobe.h"

#define CHECK_SIZE	SZ_1K
#define CHECK_WORDS	(CHECK_SIZE / sizeof(u64))

static void announce_pattern(struct step *step, size_t offset, size_t size, u64 seed)
{
	report_line(step->report, "# s2eval: expect test=%s offset=%#zx size=%#zx seed=%#llx",
		    step->path, step->offset + offset, size, seed);
}

/* Through the reference mapping: @words words, inverted ones of the test's pattern. */
static void fill_inverse(struct step *step, unsigned int words)
{
	unsigned int i;

	for (i = 0; i < words; i++)
		writeq(~pattern_word(step->seed, i), step->reference + i * sizeof(u64));
	finish_stores();
}

static bool read_back(struct step *step, const void __iomem *io, const char *through)
{
	unsigned int i;
	u64 want, got;

	for (i = 0; i < CHECK_WORDS; i++) {
		want = pattern_word(step->seed, i);
		got = readl(io + i * 8) | (u64)readl(io + i * 8 + 4) << 32;
		if (got != want) {
			step_fail(step, "%s reads %#llx instead of %#llx at BAR offset %#zx",
				  through, got, want, step->offset + i * 8);
			return false;
		}
	}
	return true;
}

static enum verdict check_pattern(struct step *step)
{
	bool same, other;

	finish_stores();
	announce_pattern(step, 0, CHECK_SIZE, step->seed);
	same = read_back(step, step->io, "the same mapping");
	other = read_back(step, step->reference, "another mapping");
	return same && other ? PASS : FAIL;
}

static enum verdict probe_stage1(struct step *step)
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

	report_line(step->report, "# s2eval: value test=%s name=type value=%s",
		    step->path, attr_name(attr));
	if (attr != mapping->attr)
		return step_fail(step, "stage 1 is %s (%#04x), %s promises %s (%#04x)",
				 attr_name(attr), attr, mapping->name,
				 attr_name(mapping->attr), mapping->attr);
	return PASS;
}

static enum verdict probe_writel(struct step *step)
{
	unsigned int i;
	u64 word;

	fill_inverse(step, CHECK_WORDS);
	for (i = 0; i < CHECK_WORDS; i++) {
		word = pattern_word(step->seed, i);
		writel(lower_32_bits(word), step->io + i * 8);
		writel(upper_32_bits(word), step->io + i * 8 + 4);
	}
	return check_pattern(step);
}

static enum verdict probe_iowrite64_copy(struct step *step)
{
	u64 from[CHECK_WORDS / 4];
	unsigned int block, i;

	fill_inverse(step, CHECK_WORDS);
	for (block = 0; block < CHECK_WORDS; block += ARRAY_SIZE(from)) {
		for (i = 0; i < ARRAY_SIZE(from); i++)
			from[i] = pattern_word(step->seed, block + i);
		__iowrite64_copy(step->io + block * 8, from, ARRAY_SIZE(from));
	}
	return check_pattern(step);
}

/* Device memory must fault, Normal must not (Arm ARM, "Alignment of data accesses"). */
static enum verdict judge_outcome(struct step *step, int error, u64 got, u64 want)
{
	bool device = attr_is_device(step->mapping->attr);

	report_line(step->report, "# s2eval: value test=%s name=outcome value=%s",
		    step->path, error ? "faults" : "works");
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

/*
 * The access is the first touch of a mapping of its own: some emulators check the
 * alignment only when the access fills the TLB.
 */
static enum verdict probe_unaligned_load(struct step *step)
{
	void __iomem *fresh;
	u64 want, got;
	int error;

	if (no_alignment)
		return step_skip(step, no_alignment);
	fill_inverse(step, 2);
	want = read_unaligned(step);
	fresh = step->mapping->map(step->start, REGION_SIZE);
	if (!fresh)
		return step_fail(step, "%s returns NULL", step->mapping->name);
	error = guarded_load64(fresh + 1, &got);
	iounmap(fresh);
	return judge_outcome(step, error, error ? want : got, want);
}

static enum verdict probe_unaligned_store(struct step *step)
{
	u64 word = pattern_word(step->seed, 0);
	void __iomem *fresh;
	u64 before;
	int error;

	if (no_alignment)
		return step_skip(step, no_alignment);
	fill_inverse(step, 2);
	before = read_unaligned(step);
	fresh = step->mapping->map(step->start, REGION_SIZE);
	if (!fresh)
		return step_fail(step, "%s returns NULL", step->mapping->name);
	error = guarded_store64(fresh + 1, word);
	finish_stores();
	iounmap(fresh);
	if (!error)
		announce_pattern(step, 1, sizeof(word), step->seed);
	/* A store that faulted must not have changed anything. */
	return judge_outcome(step, error, read_unaligned(step), error ? before : word);
}

/* Those that may end the guest come last. */
const struct probe probes[] = {
	{ "stage1",		probe_stage1 },
	{ "writel",		probe_writel },
	{ "iowrite64_copy",	probe_iowrite64_copy },
	{ "throughput",		probe_throughput },
	{ "unaligned_load",	probe_unaligned_load },
	{ "unaligned_store",	probe_unaligned_store },
};

const unsigned int nr_probes = ARRAY_SIZE(probes);
