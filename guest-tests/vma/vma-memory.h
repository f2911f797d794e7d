/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two parts of vma-memory.ko share. */
#ifndef VMA_MEMORY_MODULE_H
#define VMA_MEMORY_MODULE_H

#include <linux/sizes.h>
#include <linux/types.h>

#include "memory.h"

#define OFFERED SZ_2M	/* of each memory, aligned to as much */

/* A kind of memory; `reason` says why it is not to be had. */
struct memory {
	phys_addr_t start;
	const char *reason;
};

extern struct memory memories[VMA_MEMORIES];

/* Fills in `memories`; the BAR is that of the first PCI device `device` (VVVV:DDDD). */
void find_memories(const char *device, unsigned int bar);
void release_memories(void);

/* Let vfio-amba take the board's pl031; nothing where the kernel has no such vfio. */
void offer_platform_reset(void);
void withdraw_platform_reset(void);

#endif /* VMA_MEMORY_MODULE_H */
