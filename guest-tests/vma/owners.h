/* SPDX-License-Identifier: GPL-2.0-only */
/* Mappings of this process that become memslots: who owns the memory, how it is mapped. */
#ifndef VMA_OWNERS_H
#define VMA_OWNERS_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bar.h"
#include "memory.h"

#define HUGE	0x200000UL	/* a block of level 2 with pages of 4K */
#define SMALL	0x10000UL	/* too small for a block */

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << MAP_HUGE_SHIFT)
#endif

/* What the VMM maps without the module. */
enum process_memory { ANONYMOUS, MEMFD, HUGETLB, SYSFS, SYSFS_WC, VFIO };

/* The third component of a test's name. A size that a memory cannot have makes no test. */
struct size {
	const char *name;
	size_t bytes;
	enum vma_how how;
};

/* A mapping: `module` says that /dev/vma-memory offers it, else the process makes it itself. */
struct mapping {
	const char *memory, *pgprot;
	bool module;
	int kind;		/* enum vma_memory or process_memory */
	uint32_t protection, flags;
	const struct size *size;
	bool whole;		/* tried with every access */
};

/* The address at which a mapping may be a block, with nothing mapped there. */
static inline void *aligned_place(void)
{
	uintptr_t place = (uintptr_t)mmap(NULL, 2 * HUGE, PROT_NONE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (void *)((place + HUGE - 1) & ~(HUGE - 1));
}

static inline void *map_module(const struct mapping *mapping, void *place, char *reason, size_t size)
{
	struct vma_offer offer = {
		.memory = mapping->kind,
		.pgprot = mapping->protection,
		.how = mapping->size->how,
		.flags = mapping->flags,
	};
	int fd = open("/dev/" VMA_NODE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		snprintf(reason, size, "the module is not there: /dev/" VMA_NODE ": %s",
			 strerror(errno));
		return MAP_FAILED;
	}
	if (ioctl(fd, VMA_OFFER, &offer)) {
		if (errno == EOPNOTSUPP)
			snprintf(reason, size, "%s", offer.reason);
		return MAP_FAILED;
	}
	return mmap(place, mapping->size->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		    fd, 0);
}

static inline void *map_memfd(size_t bytes, void *place)
{
	int fd = memfd_create("s2eval-vma", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, bytes))
		return MAP_FAILED;
	return mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
}

static inline void *map_hugetlb(size_t bytes, void *place, char *reason, size_t size)
{
	void *memory = mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			    MAP_FIXED | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);

	if (memory == MAP_FAILED)
		snprintf(reason, size, "no huge page of 2 MiB is to be had: %s", strerror(errno));
	return memory;
}

static inline void *map_bar(int kind, size_t bytes, void *place, char *reason, size_t size)
{
	void *memory = MAP_FAILED;

	errno = ENODEV;
	if (*tested_pci.bdf)
		memory = kind == VFIO ? map_vfio(place, bytes) :
					map_sysfs(kind == SYSFS ? "" : "_wc", place, bytes);
	if (memory == MAP_FAILED)
		snprintf(reason, size, "%s does not give the BAR: %s",
			 kind == VFIO ? "vfio-pci" : "sysfs", strerror(errno));
	return memory;
}

static inline void *map_process(const struct mapping *mapping, void *place, char *reason,
				size_t size)
{
	size_t bytes = mapping->size->bytes;

	switch (mapping->kind) {
	case MEMFD:
		return map_memfd(bytes, place);
	case HUGETLB:
		return map_hugetlb(bytes, place, reason, size);
	case SYSFS:
	case SYSFS_WC:
	case VFIO:
		return map_bar(mapping->kind, bytes, place, reason, size);
	default:
		place = mmap(place, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (place != MAP_FAILED && bytes == HUGE)
			madvise(place, bytes, MADV_HUGEPAGE);
		return place;
	}
}

/* The mapping; MAP_FAILED with `reason` filled in when the kernel cannot offer it, else errno. */
static inline void *map_memory(const struct mapping *mapping, char *reason, size_t size)
{
	void *place = aligned_place();

	reason[0] = '\0';
	return mapping->module ? map_module(mapping, place, reason, size) :
				 map_process(mapping, place, reason, size);
}

#endif /* VMA_OWNERS_H */
