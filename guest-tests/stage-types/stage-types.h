/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stage-types: mappings of a BAR with every stage-1 memory type there is.
 *
 * The BAR is cut into a window for each type, so that no two types meet in a page.
 */
#ifndef STAGE_TYPES_H
#define STAGE_TYPES_H

#include <linux/io.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include <s2eval/bar.h>
#include <s2eval/report.h>

/* A multiple of every page size. */
#define WINDOW_SIZE	SZ_64K

struct type {
	const char *name;
	u8 attr;		/* the MAIR byte */
	unsigned int index;	/* where it is in MAIR_EL1 */
};

extern const struct type types[];
extern const unsigned int nr_types;

/*
 * Adds the types that the kernel does not use to every CPU's MAIR_EL1. 0, or -EBUSY
 * when the kernel uses those fields. drop_types() takes them out again, after the
 * last mapping is gone.
 */
int add_types(void);
void drop_types(void);

/* To be undone with iounmap(). */
void __iomem *map_type(const struct type *type, phys_addr_t start, size_t size);

/* The steps of one pass, see session.c. */
struct session;
struct session *session_start(const struct bar *bar);
void session_end(void *session);
/* Runs one step; its text, empty after the last one, is valid until the next. */
const struct report *session_step(void *session);

#endif /* STAGE_TYPES_H */
