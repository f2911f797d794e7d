/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * wcprobe: what each mapping of a PCI BAR gives to a driver.
 *
 * A test is a mapping (a row of mappings.c) and a probe (a row of probes.c); its
 * path is "MAPPING.PROBE". Tests are numbered mapping by mapping, so that number
 * t is mapping t / nr_probes and probe t % nr_probes.
 *
 * The BAR is cut into a window for each mapping and each window into a region for
 * each probe, so that what one test left can be checked by the host after the
 * others have run.
 */
#ifndef WCPROBE_H
#define WCPROBE_H

#include <linux/compiler.h>
#include <linux/io.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include <s2eval/bar.h>
#include <s2eval/report.h>

#define REGION_SIZE	SZ_4K
/* A multiple of every page size: no page is in two windows. */
#define WINDOW_ALIGN	SZ_64K

/* The BAR under test. */
struct target {
	struct bar bar;
	void __iomem *reference;	/* a second mapping, Device-nGnRE */
};

struct mapping {
	const char *name;
	u8 attr;			/* the MAIR byte that the API promises */
	void __iomem *(*map)(phys_addr_t start, size_t size);
};

extern const struct mapping mappings[];
extern const unsigned int nr_mappings;

/* One test while it runs. */
struct step {
	const struct mapping *mapping;
	char path[64];
	struct report *report;
	void __iomem *window;		/* the whole window, mapped by @mapping */
	phys_addr_t window_start;
	size_t window_size;
	void __iomem *io;		/* the test's region, mapped by @mapping */
	void __iomem *reference;	/* the test's region, mapped by ioremap() */
	phys_addr_t start;		/* of the region: a guest physical address */
	size_t offset;			/* of the region in the BAR */
	u64 seed;			/* of what the test writes */
	const char *skip;		/* why it was skipped */
};

enum verdict { PASS, FAIL, SKIP };

struct probe {
	const char *name;
	enum verdict (*run)(struct step *step);
};

extern const struct probe probes[];
extern const unsigned int nr_probes;

/* Reports the reason; to be returned by a probe. */
__printf(2, 3) enum verdict step_fail(struct step *step, const char *format, ...);
enum verdict step_skip(struct step *step, const char *reason);

enum verdict probe_throughput(struct step *step);

static inline unsigned int nr_tests(void)
{
	return nr_mappings * nr_probes;
}

static inline size_t window_size(void)
{
	return ALIGN(nr_probes * REGION_SIZE, WINDOW_ALIGN);
}

/* Which tests to run; select_tests() is 0 or says in the log what is wrong. */
int select_tests(void);
bool test_selected(unsigned int test);
void test_path(unsigned int test, char *path, size_t size);

/* The steps of one pass over the selected tests, see session.c. */
struct session;
struct session *session_start(const struct target *target);
void session_end(struct session *session);
/* Runs one step; its text, empty after the last one, is valid until the next. */
const struct report *session_step(void *session);

/* Module parameters, see main.c. */
extern bool audit;
extern bool representative;
extern char *no_alignment;

#endif /* WCPROBE_H */
