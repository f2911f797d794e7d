// SPDX-License-Identifier: GPL-2.0-only
/*
 * How fast a mapping takes stores: measured, not judged. Each sample is a number
 * of passes over the test's region, so many that it takes about SAMPLE_NS: enough
 * for the clock, little enough for an emulator inside an emulator.
 */
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timex.h>

#include <s2eval/access.h>
#include <s2eval/pattern.h>

#include "wcprobe.h"

#define NR_SAMPLES	5
#define SAMPLE_NS	(500 * NSEC_PER_USEC)
#define MAX_PASSES	64

struct accessor {
	const char *name;
	void (*fill)(void __iomem *to, const void *from);	/* REGION_SIZE bytes */
};

static void fill_writel(void __iomem *to, const void *from)
{
	const u32 *words = from;
	unsigned int i;

	for (i = 0; i < REGION_SIZE / sizeof(u32); i++)
		writel(words[i], to + i * sizeof(u32));
}

static void fill_iowrite64_copy(void __iomem *to, const void *from)
{
	__iowrite64_copy(to, from, REGION_SIZE / sizeof(u64));
}

static const struct accessor accessors[] = {
	{ "writel",		fill_writel },
	{ "iowrite64_copy",	fill_iowrite64_copy },
};

struct sample {
	u64 ns;
	u64 ticks;	/* of CNTVCT_EL0 */
};

static struct sample measure(const struct accessor *accessor, void __iomem *to,
			     const void *from, unsigned int passes)
{
	struct sample sample;
	unsigned int i;
	u64 ns, ticks;

	preempt_disable();
	finish_stores();
	ns = ktime_get_ns();
	ticks = get_cycles();
	for (i = 0; i < passes; i++)
		accessor->fill(to, from);
	finish_stores();
	sample.ticks = get_cycles() - ticks;
	sample.ns = ktime_get_ns() - ns;
	preempt_enable();
	return sample;
}

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Values are in hundredths of the unit. */
static void report_samples(struct step *step, const char *name, const char *suffix,
			   const char *unit, const u64 *values)
{
	char text[NR_SAMPLES * 24];
	u64 sorted[NR_SAMPLES];
	unsigned int i;
	size_t used = 0;

	for (i = 0; i < NR_SAMPLES; i++) {
		sorted[i] = values[i];
		used += scnprintf(text + used, sizeof(text) - used, "%s%llu.%02llu",
				  i ? "," : "", values[i] / 100, values[i] % 100);
	}
	sort(sorted, NR_SAMPLES, sizeof(u64), compare_u64, NULL);
	report_line(step->report,
		    "# s2eval: value test=%s name=%s%s value=%llu.%02llu unit=%s samples=%s representative=%d",
		    step->path, name, suffix, sorted[NR_SAMPLES / 2] / 100,
		    sorted[NR_SAMPLES / 2] % 100, unit, text, representative);
}

static void run_accessor(struct step *step, const struct accessor *accessor, const void *from)
{
	u64 rates[NR_SAMPLES], ticks[NR_SAMPLES];
	unsigned int i, passes;
	struct sample sample;

	/* The first pass warms up, the second calibrates. */
	measure(accessor, step->io, from, 1);
	sample = measure(accessor, step->io, from, 1);
	passes = clamp_t(u64, div64_u64(SAMPLE_NS, max_t(u64, sample.ns, 1)), 1, MAX_PASSES);

	for (i = 0; i < NR_SAMPLES; i++) {
		sample = measure(accessor, step->io, from, passes);
		/* 1 MB/s is one byte in 1000 ns. */
		rates[i] = div64_u64(100ULL * 1000 * passes * REGION_SIZE,
				     max_t(u64, sample.ns, 1));
		ticks[i] = div64_u64(100 * sample.ticks, passes);
	}
	report_samples(step, accessor->name, "", "MB/s", rates);
	report_samples(step, accessor->name, ".cntvct", "ticks/4KiB", ticks);
}

enum verdict probe_throughput(struct step *step)
{
	unsigned int i;
	u64 *from;

	from = kmalloc(REGION_SIZE, GFP_KERNEL);
	if (!from)
		return step_fail(step, "no memory for %u bytes", REGION_SIZE);
	for (i = 0; i < REGION_SIZE / sizeof(u64); i++)
		from[i] = pattern_word(step->seed, i);
	for (i = 0; i < ARRAY_SIZE(accessors); i++)
		run_accessor(step, &accessors[i], from);
	kfree(from);
	return PASS;
}
