/* SPDX-License-Identifier: GPL-2.0-only */
/* How long accesses take: samples of calibrated length, and the lines that tell them. */
#ifndef MEASURE_H
#define MEASURE_H

#include <linux/types.h>

struct step;

/* What is measured: @run makes @passes passes. Nothing in it may sleep. */
struct work {
	void (*run)(const struct work *work, unsigned int passes);
	void __iomem *io;
	void *memory;
	size_t size;
	const struct accessor *accessor;	/* its .simd is seen to */
};

struct sample {
	u64 ns;
	u64 ticks;	/* of CNTVCT_EL0 */
	u64 cycles;	/* of PMCCNTR_EL0; 0 where it cannot be used */
};

/* One pass and its surroundings. */
struct sample measure(const struct work *work, unsigned int passes);

/* Warms up; so many passes take about @ns nanoseconds. */
unsigned int calibrate(const struct work *work, u64 ns);

/* @count samples of about @ns nanoseconds each, of so many passes as are returned. */
unsigned int measure_samples(const struct work *work, struct sample *samples, unsigned int count,
			     u64 ns);

/* A line of @count timings in hundredths of @unit; the value is their median. */
void report_timing(struct step *step, const char *name, const char *unit, const u64 *values,
		   unsigned int count);

/* MB/s (10^6 bytes a second) in hundredths. */
u64 rate_of(u64 bytes, u64 ns);

/* One copy of work->size bytes between work->memory and work->io a pass. */
void run_accessor(const struct work *work, unsigned int passes);

#define MAX_SAMPLES	32

#endif /* MEASURE_H */
