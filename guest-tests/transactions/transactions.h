/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * transactions: what of each accessor reaches the device.
 *
 * The first page of the BAR is for markers, a 4-byte write before each accessor and one
 * after it. Behind it each mapping has a window and each accessor a page of it, so that
 * no accessor touches what another one wrote.
 */
#ifndef TRANSACTIONS_H
#define TRANSACTIONS_H

#include <linux/io.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include <s2eval/bar.h>
#include <s2eval/report.h>

#define WINDOW_SIZE	SZ_256K	/* a multiple of every page size */
#define REGION_SIZE	SZ_4K
#define MAX_SIZE	128	/* bytes that an accessor moves at most */

struct accessor {
	const char *name;
	bool reads;
	unsigned int size;	/* of what it moves, bytes */
	unsigned int most;	/* accesses that the device may see */
	unsigned int last;	/* bytes into the region: the access that comes last; 0: any */
	bool plain;		/* `data` is all zeros, no pattern */
	/* Moves `data` to `io`, or the other way. */
	void (*run)(void __iomem *io, void *data);
};

extern const struct accessor accessors[];
extern const unsigned int nr_accessors;

/* The steps of one pass, see session.c. */
void *session_start(const struct bar *bar);
void session_end(void *session);
/* Runs one step; its text, empty after the last one, is valid until the next. */
const struct report *session_step(void *session);

/* The bytes of the BAR that a session needs. */
size_t session_size(void);

#endif /* TRANSACTIONS_H */
