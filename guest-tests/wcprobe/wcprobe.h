/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * wcprobe: what each mapping of a PCI BAR gives to a driver.
 *
 * A test is a mapping (a row of mappings.c) and a probe (a row of tests.c, some of
 * them made of the rows of accessors.c); its path is "MAPPING.PROBE". Tests are
 * numbered mapping by mapping, so that number t is mapping t / nr_probes and probe
 * t % nr_probes.
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
#define CHECK_SIZE	SZ_1K
#define CHECK_WORDS	(CHECK_SIZE / sizeof(u64))
#define PATH_SIZE	64

/* The BAR under test. */
struct target {
	struct bar bar;
	void __iomem *reference;	/* a second mapping, Device-nGnRE */
};

struct mapping {
	const char *name;
	u8 attr;			/* the MAIR byte that the API promises */
	bool basic_unaligned;		/* SET_BASIC has unaligned accesses of it */
	void __iomem *(*map)(const struct bar *bar, size_t offset, size_t size);
	void (*unmap)(const struct bar *bar, void __iomem *io);
};

extern const struct mapping mappings[];
extern const unsigned int nr_mappings;

/* A way to store or to load; @size is a multiple of 64 bytes. */
struct accessor {
	const char *name;
	size_t unit;		/* bytes of one access; 0: any number */
	size_t fill;		/* a store that repeats a byte so often, otherwise 0 */
	bool simd;		/* between simd_begin() and simd_end() */
	bool plain;		/* for ordinary memory: no promise, and no guard */
	void (*store)(void __iomem *to, const void *from, size_t size);
	void (*load)(void *to, const void __iomem *from, size_t size);
};

extern const struct accessor accessors[];
extern const unsigned int nr_accessors;

/* One test while it runs. */
struct step {
	const struct mapping *mapping;
	const struct accessor *accessor;
	const struct bar *bar;
	char path[PATH_SIZE];
	struct report *report;
	void __iomem *window;		/* the whole window, mapped by @mapping */
	phys_addr_t window_start;
	size_t window_size;
	void __iomem *io;		/* the test's region, mapped by @mapping */
	void __iomem *reference;	/* the test's region, mapped by ioremap() */
	size_t offset;			/* of the region in the BAR */
	u64 seed;			/* of what the test writes */
	const char *skip;		/* why it was skipped */
};

enum verdict { PASS, FAIL, SKIP };

/* What is run together, see tests.c. */
enum set { SET_BASIC, SET_FIGURES, SET_RISKY };

struct probe {
	const char *family;		/* before the name in a path, may be NULL */
	const char *name;
	enum verdict (*run)(struct step *step);
	const struct accessor *accessor;
	unsigned int regions;		/* so many it has */
	bool (*applies)(const struct probe *probe, const struct mapping *mapping);
	/* Set by make_probes(): */
	unsigned int region;		/* the first one */
};

/* The probes of the set that was asked for; 0, or says in the log what is wrong. */
int make_probes(void);
void drop_probes(void);
extern struct probe *probes;
extern unsigned int nr_probes;
size_t window_size(void);

static inline unsigned int nr_tests(void)
{
	return nr_mappings * nr_probes;
}

static inline const struct mapping *test_mapping(unsigned int test)
{
	return &mappings[test / nr_probes];
}

static inline const struct probe *test_probe(unsigned int test)
{
	return &probes[test % nr_probes];
}

/* "accessors.writeb"; behind the mapping's name it is the path. */
void probe_name(const struct probe *probe, char *name, size_t size);
void test_path(unsigned int test, char *path, size_t size);

/* Which tests to run; select_tests() is 0 or says in the log what is wrong. */
int select_tests(void);
bool test_selected(unsigned int test);

/* Reports the reason; to be returned by a probe. */
__printf(2, 3) enum verdict step_fail(struct step *step, const char *format, ...);
enum verdict step_skip(struct step *step, const char *reason);
/* A word that the test saw. @name "outcome" is the test's own. */
void step_word(struct step *step, const char *name, const char *word);
/* A word that nobody judges. */
void step_seen(struct step *step, const char *name, const char *word);

/* A mapping of the test's first @size bytes of its own, to be undone with step_unmap(). */
void __iomem *step_map(struct step *step, size_t size);
void step_unmap(struct step *step, void __iomem *io);

/* What the test stores at @size bytes from word @first on, see check.c. */
void want_bytes(const struct step *step, void *bytes, unsigned int first, size_t size);
/* Makes visible to all mappings what any of them has stored. */
void sync_stores(const struct step *step, void __iomem *io, size_t size);
/* Through the reference mapping: @words words of what the test does not store. */
void fill_inverse(struct step *step, unsigned int words);
/* Tells the host what must be in @size bytes from @offset of the region on. */
void announce_pattern(struct step *step, size_t offset, size_t size);

enum verdict probe_stage1(struct step *step);
enum verdict probe_accessor(struct step *step);
enum verdict probe_unaligned_load(struct step *step);
enum verdict probe_unaligned_store(struct step *step);
enum verdict probe_unaligned_loads(struct step *step);
enum verdict probe_unaligned_stores(struct step *step);
enum verdict probe_zero(struct step *step);
enum verdict probe_exclusives(struct step *step);
enum verdict probe_atomics(struct step *step);
enum verdict probe_throughput(struct step *step);
enum verdict probe_sizes(struct step *step);
enum verdict probe_latency(struct step *step);
enum verdict probe_instructions(struct step *step);
enum verdict probe_combining(struct step *step);

/* The steps of one pass over the selected tests, see session.c. */
struct session;
struct session *session_start(const struct target *target);
void session_end(void *session);
/* Runs one step; its text, empty after the last one, is valid until the next. */
const struct report *session_step(void *session);

/* Module parameters, see main.c. */
extern bool audit;
extern bool representative;
extern char *no_alignment;

#endif /* WCPROBE_H */
