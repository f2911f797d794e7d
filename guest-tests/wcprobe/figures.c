// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an access costs, for every accessor and many sizes: measured, not judged. What
 * stands in the region afterwards is of no interest.
 */
#include <asm/sysreg.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>

#include <s2eval/access.h>

#include "measure.h"
#include "wcprobe.h"

#define NR_SAMPLES	5
#define SAMPLE_NS	(50 * NSEC_PER_USEC)

static void measure_size(struct step *step, size_t size, void *memory, const char *name)
{
	struct work work = { run_accessor, step->window, memory, size, step->accessor };
	u64 rates[NR_SAMPLES], cycles[NR_SAMPLES];
	struct sample samples[NR_SAMPLES];
	unsigned int i, passes;
	char text[40];

	passes = measure_samples(&work, samples, NR_SAMPLES, SAMPLE_NS);
	for (i = 0; i < NR_SAMPLES; i++) {
		rates[i] = rate_of((u64)passes * size, samples[i].ns);
		cycles[i] = div64_u64(100 * samples[i].cycles, passes);
	}
	report_timing(step, name, "MB/s", rates, NR_SAMPLES);
	scnprintf(text, sizeof(text), "%s.cycles", name);
	if (cycles[0])
		report_timing(step, text, "cycles", cycles, NR_SAMPLES);
}

/* Throughput of one accessor, from 64 bytes to the whole window. */
enum verdict probe_sizes(struct step *step)
{
	static const size_t sizes[] = { SZ_64, SZ_512, SZ_4K, SZ_32K };
	void *memory = vzalloc(step->window_size);
	char name[24];
	unsigned int i;

	if (!memory)
		return step_fail(step, "no memory for %zu bytes", step->window_size);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		scnprintf(name, sizeof(name), "%zuB", sizes[i]);
		measure_size(step, sizes[i], memory, name);
	}
	scnprintf(name, sizeof(name), "%zuB", step->window_size);
	measure_size(step, step->window_size, memory, name);
	vfree(memory);
	return PASS;
}

/* One access, and then wait until it is done. */
static void run_single(const struct work *work, unsigned int passes)
{
	const struct accessor *accessor = work->accessor;
	unsigned int i;

	for (i = 0; i < passes; i++) {
		if (accessor->store)
			accessor->store(work->io, work->memory, work->size);
		else
			accessor->load(work->memory, work->io, work->size);
		finish_stores();
	}
}

static void measure_latency(struct step *step, const struct accessor *accessor)
{
	u8 memory[64] __aligned(16) = {};
	struct work work = { run_single, step->io, memory, accessor->unit, accessor };
	struct sample samples[NR_SAMPLES];
	u64 ns[NR_SAMPLES];
	unsigned int i, passes;

	passes = measure_samples(&work, samples, NR_SAMPLES, SAMPLE_NS);
	for (i = 0; i < NR_SAMPLES; i++)
		ns[i] = div64_u64(100 * samples[i].ns, passes);
	report_timing(step, accessor->name, "ns", ns, NR_SAMPLES);
}

/* Of every accessor of one size. */
enum verdict probe_latency(struct step *step)
{
	unsigned int i;

	for (i = 0; i < nr_accessors; i++)
		if (accessors[i].unit)
			measure_latency(step, &accessors[i]);
	return PASS;
}

/*
 * Instructions, where the clock counts them: on an emulator whose time is the number of
 * instructions (QEMU's -icount with shift=0 and a counter of 1 GHz).
 */
#define NOPS		1000
#define TRIES		9

static void run_nops(const struct work *work, unsigned int passes)
{
	asm volatile(".rept " __stringify(NOPS) "\n	nop\n	.endr\n");
}

static void run_nothing(const struct work *work, unsigned int passes)
{
}

/* Ticks of one pass. An interrupt can only add to them. */
static u64 least_ticks(const struct work *work)
{
	u64 least = U64_MAX;
	unsigned int i;

	for (i = 0; i < TRIES; i++)
		least = min(least, measure(work, 1).ticks);
	return least;
}

static bool clock_counts_instructions(void)
{
	const struct work nothing = { run_nothing }, nops = { run_nops };
	unsigned int i;

	for (i = 0; i < TRIES; i++)
		if (least_ticks(&nops) - least_ticks(&nothing) != NOPS)
			return false;
	return true;
}

/* What one block of 64 bytes takes more than none. */
static void count_instructions(struct step *step, const struct accessor *accessor, void *memory)
{
	struct work one = { run_accessor, step->io, memory, 64, accessor }, two = one;

	two.size = 128;
	measure(&two, 1);
	/* A count, no timing: it is the same everywhere. */
	report_line(step->report,
		    "# s2eval: value test=%s name=%s value=%llu unit=instructions/64B representative=1",
		    step->path, accessor->name, least_ticks(&two) - least_ticks(&one));
}

enum verdict probe_instructions(struct step *step)
{
	void *memory;
	unsigned int i;

	if (!clock_counts_instructions())
		return step_skip(step, "the clock of this machine does not count instructions");
	memory = kzalloc(128, GFP_KERNEL);
	if (!memory)
		return step_fail(step, "no memory");
	for (i = 0; i < nr_accessors; i++)
		if (!accessors[i].plain)
			count_instructions(step, &accessors[i], memory);
	kfree(memory);
	return PASS;
}

/*
 * Write combining: as many stores of 8 bytes in blocks of 64 bytes, which can be
 * gathered, as with each one in another line than the one before, which cannot. Whether
 * the first are faster, and not by chance, the harness decides from the samples.
 */
#define COMBINING_SAMPLES	24
#define LINE			64

/* The same code in both orders: only the steps of its two loops change places. */
static noinline void store_words(const struct work *work, size_t outer_end, size_t outer_step,
				 size_t inner_end, size_t inner_step)
{
	size_t outer, inner;

	for (outer = 0; outer < outer_end; outer += outer_step)
		for (inner = 0; inner < inner_end; inner += inner_step)
			__raw_writeq(*(u64 *)(work->memory + outer + inner),
				     work->io + outer + inner);
}

static void run_blocks(const struct work *work, unsigned int passes)
{
	while (passes--)
		store_words(work, work->size, LINE, LINE, sizeof(u64));
}

static void run_spaced(const struct work *work, unsigned int passes)
{
	while (passes--)
		store_words(work, LINE, sizeof(u64), work->size, LINE);
}

enum verdict probe_combining(struct step *step)
{
	u64 blocks_ns[COMBINING_SAMPLES], spaced_ns[COMBINING_SAMPLES];
	struct work blocks = { run_blocks, step->io, NULL, REGION_SIZE };
	struct work spaced = { run_spaced, step->io, NULL, REGION_SIZE };
	unsigned int i, passes;

	blocks.memory = kzalloc(REGION_SIZE, GFP_KERNEL);
	if (!blocks.memory)
		return step_fail(step, "no memory for %u bytes", REGION_SIZE);
	spaced.memory = blocks.memory;
	measure(&blocks, 1);
	passes = calibrate(&spaced, SAMPLE_NS);
	/* In turn, so that what disturbs one disturbs the other as well. */
	for (i = 0; i < COMBINING_SAMPLES; i++) {
		blocks_ns[i] = div64_u64(6400 * measure(&blocks, passes).ns, passes * REGION_SIZE);
		spaced_ns[i] = div64_u64(6400 * measure(&spaced, passes).ns, passes * REGION_SIZE);
	}
	kfree(blocks.memory);
	report_timing(step, "blocks", "ns/64B", blocks_ns, COMBINING_SAMPLES);
	report_timing(step, "spaced", "ns/64B", spaced_ns, COMBINING_SAMPLES);
	return PASS;
}
