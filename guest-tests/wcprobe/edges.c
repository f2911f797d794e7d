// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unaligned accesses of every width at every offset of 16, across edges: Device memory
 * must fault, Normal must not. As in unaligned.c, each one is the first touch of a
 * mapping of its own.
 */
#include <linux/kernel.h>
#include <linux/string.h>

#include <s2eval/access.h>
#include <s2eval/compat.h>
#include <s2eval/stage1.h>

#include "wcprobe.h"

/* A load or a store of the BAR by one instruction, which may fault: 0 or -EFAULT. */
#define COPY(name, load, store)							\
static int load_##name(const void __iomem *from, void *to)			\
{										\
	int error = -EFAULT;							\
										\
	asm volatile(".arch_extension simd\n"					\
		     "1:	" load ", [%[from]]\n"				\
		     "	" store ", [%[to]]\n"					\
		     "	mov	%w[error], wzr\n"				\
		     "2:\n"							\
		     _ASM_EXTABLE_KACCESS_ERR(1b, 2b, wzr)			\
		     : [error] "+&r" (error)					\
		     : [from] "r" (from), [to] "r" (to)				\
		     : "x9", "x10", "memory");					\
	return error;								\
}										\
										\
static int store_##name(void __iomem *to, const void *from)			\
{										\
	int error = -EFAULT;							\
										\
	asm volatile(".arch_extension simd\n"					\
		     "	" load ", [%[from]]\n"					\
		     "1:	" store ", [%[to]]\n"				\
		     "	mov	%w[error], wzr\n"				\
		     "2:\n"							\
		     _ASM_EXTABLE_KACCESS_ERR(1b, 2b, wzr)			\
		     : [error] "+&r" (error)					\
		     : [from] "r" (from), [to] "r" (to)				\
		     : "x9", "x10", "memory");					\
	return error;								\
}

COPY(h, "ldrh w9", "strh w9")
COPY(w, "ldr w9", "str w9")
COPY(x, "ldr x9", "str x9")
COPY(pair, "ldp x9, x10", "stp x9, x10")
COPY(q, "ldr q0", "str q0")

#define MAX_WIDTH	16

static const struct access {
	const char *name;
	unsigned int width;
	unsigned int align;	/* what Device memory asks for */
	unsigned int lax;	/* what it may ask for as well: QEMU takes 16 bytes for two of 8 */
	int (*load)(const void __iomem *from, void *to);
	int (*store)(void __iomem *to, const void *from);
} accesses[] = {
	{ "2 bytes",		2,	2,	2,	load_h,		store_h },
	{ "4 bytes",		4,	4,	4,	load_w,		store_w },
	{ "8 bytes",		8,	8,	8,	load_x,		store_x },
	{ "a pair of 8 bytes",	16,	8,	8,	load_pair,	store_pair },
	{ "16 bytes",		16,	16,	8,	load_q,		store_q },
};

/* From each of these, an access at offsets 0 to 15 crosses the edge behind it. */
static const struct edge {
	const char *name;
	size_t start;
} edges[] = {
	{ "16 bytes",	0 },
	{ "64 bytes",	SZ_64 - 16 },
	{ "4 KiB",	SZ_4K - 16 },	/* most kernels' page; a larger one has no edge in here */
};

struct tries {
	unsigned int works, faults;	/* unaligned ones */
	unsigned int lax_works, lax_faults;
	enum verdict verdict;
};

/* One access at @at of the region; the reason of the first that goes wrong is told. */
static void count_try(struct step *step, struct tries *tries, const struct access *access,
		      const struct edge *edge, size_t at, int error)
{
	bool unaligned = at % access->align;
	bool must_fault = unaligned && attr_is_device(step->mapping->attr);

	if (unaligned && at % access->lax == 0) {
		tries->lax_works += !error;
		tries->lax_faults += !!error;
		if (must_fault)
			return;		/* recorded, not judged */
	} else if (unaligned && error) {
		tries->faults++;
	} else if (unaligned) {
		tries->works++;
	}
	if (!error == !must_fault || tries->verdict == FAIL)
		return;
	tries->verdict = step_fail(step, "%s at offset %zu, near the edge of %s: %s, must %s",
				   access->name, at, edge->name, error ? "faults" : "works",
				   must_fault ? "fault" : "work");
}

static const char *outcome(unsigned int works, unsigned int faults)
{
	if (works && faults)
		return "mixed";
	return works ? "works" : "faults";
}

static enum verdict report_tries(struct step *step, const struct tries *tries)
{
	char count[16];

	scnprintf(count, sizeof(count), "%u", tries->works + tries->faults);
	step_word(step, "outcome", outcome(tries->works, tries->faults));
	step_word(step, "tries", count);
	step_seen(step, "16_bytes_at_8", outcome(tries->lax_works, tries->lax_faults));
	return tries->verdict;
}

static int try_access(struct step *step, const struct access *access, size_t at, void *bytes,
		      bool store)
{
	void __iomem *fresh = step_map(step, 2 * REGION_SIZE);
	struct simd simd;
	int error;

	if (!fresh)
		return -ENOMEM;
	simd_begin(&simd);
	error = store ? access->store(fresh + at, bytes) : access->load(fresh + at, bytes);
	simd_end(&simd);
	sync_stores(step, fresh + at, access->width);
	step_unmap(step, fresh);
	return error;
}

/* The bytes of the region around an edge, as they are and as they should be. */
#define AROUND	48

static void read_around(struct step *step, size_t start, u8 *bytes)
{
	size_t i;

	for (i = 0; i < AROUND; i++)
		bytes[i] = readb(step->reference + start + i);
}

static void write_around(struct step *step, size_t start, const u8 *bytes)
{
	size_t i;

	for (i = 0; i < AROUND; i++)
		writeb(bytes[i], step->reference + start + i);
	sync_stores(step, step->io + start, AROUND);
}

static void try_load(struct step *step, struct tries *tries, const struct access *access,
		     const struct edge *edge, size_t offset)
{
	u8 want[AROUND], got[MAX_WIDTH];
	size_t at = edge->start + offset;
	int error;

	want_bytes(step, want, 0, AROUND);
	write_around(step, edge->start, want);
	error = try_access(step, access, at, got, false);
	count_try(step, tries, access, edge, at, error);
	if (!error && memcmp(got, want + offset, access->width) && tries->verdict != FAIL)
		tries->verdict = step_fail(step, "%s at offset %zu: the wrong bytes were loaded",
					   access->name, at);
}

/* A store that faults must not have changed anything, and none may change its neighbours. */
static void try_store(struct step *step, struct tries *tries, const struct access *access,
		      const struct edge *edge, size_t offset)
{
	u8 want[AROUND], got[AROUND], bytes[MAX_WIDTH];
	size_t at = edge->start + offset;
	unsigned int i;
	int error;

	want_bytes(step, want, 0, AROUND);
	for (i = 0; i < access->width; i++)
		bytes[i] = ~want[offset + i];
	write_around(step, edge->start, want);
	error = try_access(step, access, at, bytes, true);
	if (!error)
		memcpy(want + offset, bytes, access->width);
	count_try(step, tries, access, edge, at, error);
	read_around(step, edge->start, got);
	if (memcmp(got, want, AROUND) && tries->verdict != FAIL)
		tries->verdict = step_fail(step, "%s at offset %zu: the bytes there are wrong",
					   access->name, at);
}

static enum verdict try_all(struct step *step,
			    void (*try)(struct step *step, struct tries *tries,
					const struct access *access, const struct edge *edge,
					size_t offset))
{
	struct tries tries = { .verdict = PASS };
	unsigned int i, j, offset;

	for (i = 0; i < ARRAY_SIZE(accesses); i++)
		for (j = 0; j < ARRAY_SIZE(edges); j++)
			for (offset = 0; offset < 16; offset++)
				try(step, &tries, &accesses[i], &edges[j], offset);
	return report_tries(step, &tries);
}

enum verdict probe_unaligned_loads(struct step *step)
{
	if (no_alignment)
		return step_skip(step, no_alignment);
	return try_all(step, try_load);
}

/* For the host: a row of unaligned stores, which cross edges of 16 and 64 bytes. */
static bool store_row(struct step *step)
{
	void __iomem *fresh;
	bool stored = true;
	u64 words[32];
	unsigned int i;

	fill_inverse(step, ARRAY_SIZE(words) + 1);
	want_bytes(step, words, 0, sizeof(words));
	fresh = step_map(step, REGION_SIZE);
	if (!fresh)
		return false;
	for (i = 0; i < ARRAY_SIZE(words) && stored; i++)
		stored = !guarded_store64(fresh + 1 + i * sizeof(u64), words[i]);
	sync_stores(step, fresh, sizeof(words) + sizeof(u64));
	step_unmap(step, fresh);
	if (stored)
		announce_pattern(step, 1, sizeof(words));
	return stored;
}

enum verdict probe_unaligned_stores(struct step *step)
{
	enum verdict verdict;

	if (no_alignment)
		return step_skip(step, no_alignment);
	verdict = try_all(step, try_store);
	if (verdict == PASS && !attr_is_device(step->mapping->attr) && !store_row(step))
		return step_fail(step, "a row of unaligned stores faults");
	return verdict;
}
