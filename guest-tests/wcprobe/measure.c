// SPDX-License-Identifier: GPL-2.0-only
/*
 * How fast a mapping takes stores: measured, not judged. Each sample is a number of
 * passes, so many that it takes long enough for the clock, and little enough for an
 * emulator inside an emulator.
 */
#include <asm/sysreg.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/timex.h>

#include <s2eval/access.h>
#include <s2eval/compat.h>
#include <s2eval/pattern.h>

#include "measure.h"
#include "wcprobe.h"

#define NR_SAMPLES	5
#define SAMPLE_NS	(500 * NSEC_PER_USEC)
#define MAX_PASSES	1024

/* Fields of the performance monitors (Arm ARM DDI 0487, D13). */
#define PMUVER		GENMASK_ULL(11, 8)	/* of ID_AA64DFR0_EL1 */
#define PMUVER_NONE	0xf			/* or 0: no architected monitors */
#define PMCR_E		BIT(0)
#define PMCR_LC		BIT(6)			/* the cycle counter has 64 bits */
#define PMCNTEN_C	BIT(31)

/* The cycle counter is ours when there is one and no driver has it. */
static bool have_cycles(void)
{
	u64 version = FIELD_GET(PMUVER, read_sysreg(id_aa64dfr0_el1));

	return version && version != PMUVER_NONE && !IS_ENABLED(CONFIG_HW_PERF_EVENTS);
}

static u64 start_cycles(void)
{
	if (!have_cycles())
		return 0;
	write_sysreg(read_sysreg(pmcr_el0) | PMCR_E | PMCR_LC, pmcr_el0);
	write_sysreg(PMCNTEN_C, pmcntenset_el0);
	isb();
	return read_sysreg(pmccntr_el0);
}

static u64 stop_cycles(u64 start)
{
	u64 end;

	if (!have_cycles())
		return 0;
	isb();
	end = read_sysreg(pmccntr_el0);
	write_sysreg(PMCNTEN_C, pmcntenclr_el0);
	write_sysreg(read_sysreg(pmcr_el0) & ~PMCR_E, pmcr_el0);
	return end - start;
}

struct sample measure(const struct work *work, unsigned int passes)
{
	bool simd = work->accessor && work->accessor->simd;
	struct sample sample;
	struct simd saved;
	u64 ns, ticks;

	preempt_disable();
	if (simd)
		simd_begin(&saved);
	finish_stores();
	ns = ktime_get_ns();
	sample.cycles = start_cycles();
	ticks = get_cycles();
	work->run(work, passes);
	finish_stores();
	sample.ticks = get_cycles() - ticks;
	sample.cycles = stop_cycles(sample.cycles);
	sample.ns = ktime_get_ns() - ns;
	if (simd)
		simd_end(&saved);
	preempt_enable();
	return sample;
}

unsigned int calibrate(const struct work *work, u64 ns)
{
	unsigned int passes = 1;

	/* What one pass takes is mostly the clock, if the pass is short. */
	measure(work, 1);
	while (passes < MAX_PASSES && measure(work, passes).ns < ns / 2)
		passes *= 2;
	return passes;
}

unsigned int measure_samples(const struct work *work, struct sample *samples, unsigned int count,
			     u64 ns)
{
	unsigned int i, passes = calibrate(work, ns);

	for (i = 0; i < count; i++)
		samples[i] = measure(work, passes);
	return passes;
}

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

void report_timing(struct step *step, const char *name, const char *unit, const u64 *values,
		   unsigned int count)
{
	char text[MAX_SAMPLES * 16];
	u64 sorted[MAX_SAMPLES];
	unsigned int i;
	size_t used = 0;

	for (i = 0; i < count; i++) {
		sorted[i] = values[i];
		used += scnprintf(text + used, sizeof(text) - used, "%s%llu.%02llu",
				  i ? "," : "", values[i] / 100, values[i] % 100);
	}
	sort(sorted, count, sizeof(u64), compare_u64, NULL);
	report_line(step->report,
		    "# s2eval: value test=%s name=%s value=%llu.%02llu unit=%s samples=%s representative=%d",
		    step->path, name, sorted[count / 2] / 100, sorted[count / 2] % 100, unit,
		    text, representative);
}

u64 rate_of(u64 bytes, u64 ns)
{
	/* 1 MB/s is one byte in 1000 ns. */
	return div64_u64(100ULL * 1000 * bytes, max_t(u64, ns, 1));
}

void run_accessor(const struct work *work, unsigned int passes)
{
	unsigned int i;

	for (i = 0; i < passes; i++)
		if (work->accessor->store)
			work->accessor->store(work->io, work->memory, work->size);
		else
			work->accessor->load(work->memory, work->io, work->size);
}

static void measure_region(struct step *step, const struct accessor *accessor, void *from)
{
	struct work work = { run_accessor, step->io, from, REGION_SIZE, accessor };
	u64 rates[NR_SAMPLES], ticks[NR_SAMPLES];
	struct sample samples[NR_SAMPLES];
	unsigned int i, passes;
	char name[40];

	passes = measure_samples(&work, samples, NR_SAMPLES, SAMPLE_NS);
	for (i = 0; i < NR_SAMPLES; i++) {
		rates[i] = rate_of((u64)passes * REGION_SIZE, samples[i].ns);
		ticks[i] = div64_u64(100 * samples[i].ticks, passes);
	}
	report_timing(step, accessor->name, "MB/s", rates, NR_SAMPLES);
	scnprintf(name, sizeof(name), "%s.cntvct", accessor->name);
	report_timing(step, name, "ticks/4KiB", ticks, NR_SAMPLES);
}

/* Of the first two accessors; SET_FIGURES has the rest. */
enum verdict probe_throughput(struct step *step)
{
	unsigned int i;
	u64 *from;

	from = kmalloc(REGION_SIZE, GFP_KERNEL);
	if (!from)
		return step_fail(step, "no memory for %u bytes", REGION_SIZE);
	want_bytes(step, from, 0, REGION_SIZE);
	for (i = 0; i < 2; i++)
		measure_region(step, &accessors[i], from);
	kfree(from);
	return PASS;
}
