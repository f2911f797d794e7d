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
#include "guest-memfd.h"
#include "memory.h"

#define HUGE	0x200000UL	/* a block of level 2 with pages of 4K */
#define GIGANTIC 0x40000000UL	/* a block of level 1 */
#define SMALL	0x10000UL	/* too small for a block */
#define PAGE	0x1000UL	/* all that some device has */

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << MAP_HUGE_SHIFT)
#endif
#ifndef MAP_HUGE_1GB
#define MAP_HUGE_1GB (30 << MAP_HUGE_SHIFT)
#endif

/* What the VMM maps without the module. */
enum process_memory {
	ANONYMOUS, MEMFD, HUGETLB, GUEST_MEMFD,
	PLATFORM,			/* registers of a device of the board */
	SYSFS, SYSFS_WC, VFIO, VFIO_WC, IOMMUFD,	/* the BAR */
};

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
static inline void *aligned_place(size_t align)
{
	uintptr_t place = (uintptr_t)mmap(NULL, 2 * align, PROT_NONE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (void *)((place + align - 1) & ~(align - 1));
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

static inline void *map_hugetlb(size_t bytes, void *place)
{
	int size = bytes == GIGANTIC ? MAP_HUGE_1GB : MAP_HUGE_2MB;

	return mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
		    MAP_HUGETLB | size, -1, 0);
}

static inline void *map_anonymous(size_t bytes, void *place)
{
	place = mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
	if (place != MAP_FAILED && bytes == HUGE)
		madvise(place, bytes, MADV_HUGEPAGE);
	return place;
}

/* MAP_FAILED with errno. */
static inline void *map_owned(enum process_memory kind, size_t bytes, void *place,
			      const char **lacking)
{
	switch (kind) {
	case MEMFD:
		return map_memfd(bytes, place);
	case HUGETLB:
		return map_hugetlb(bytes, place);
	case GUEST_MEMFD:
		return map_guest_memfd(place, bytes);
	case PLATFORM:
		return map_platform(place, bytes, lacking);
	case SYSFS:
		return map_sysfs("", place, bytes);
	case SYSFS_WC:
		return map_sysfs("_wc", place, bytes);
	case VFIO:
		return map_vfio(VFIO_CONTAINER, place, bytes);
	case VFIO_WC:
		return map_vfio(VFIO_CONTAINER_WC, place, bytes);
	case IOMMUFD:
		return map_vfio(VFIO_IOMMUFD, place, bytes);
	default:
		return map_anonymous(bytes, place);
	}
}

/* Who does not give the memory, or what is not there, with `error`. */
static const char *who_lacks(enum process_memory kind, int error)
{
	switch (kind) {
	case HUGETLB:
		return "no huge page of that size is to be had";
	case GUEST_MEMFD:
		return "KVM has no guest_memfd that can be mapped";
	case SYSFS:
	case SYSFS_WC:
		return "sysfs does not give the BAR";
	case IOMMUFD:
		return error == ENOENT ? "the kernel has no iommufd or no descriptors of devices" :
					 "iommufd does not give the BAR";
	case VFIO_WC:
		return error == ENOTTY ? "vfio-pci has no VFIO_DEVICE_FEATURE_PCI_MMAP_WC" :
					 "vfio-pci does not give the BAR";
	case VFIO:
		return "vfio-pci does not give the BAR";
	default:
		return NULL;
	}
}

static inline void *map_process(const struct mapping *mapping, void *place, char *reason,
				size_t size)
{
	bool bar = mapping->kind >= SYSFS && mapping->kind <= IOMMUFD;
	void *memory = MAP_FAILED;
	const char *who = NULL;

	errno = ENODEV;
	if (!bar || *tested_pci.bdf)
		memory = map_owned(mapping->kind, mapping->size->bytes, place, &who);
	who = who ? who : who_lacks(mapping->kind, errno);
	if (memory == MAP_FAILED && who)
		snprintf(reason, size, "%s: %s", who, strerror(errno));
	return memory;
}

/* The mapping; MAP_FAILED with `reason` filled in when the kernel cannot offer it, else errno. */
static inline void *map_memory(const struct mapping *mapping, char *reason, size_t size)
{
	void *place = aligned_place(mapping->size->bytes > HUGE ? mapping->size->bytes : HUGE);

	reason[0] = '\0';
	return mapping->module ? map_module(mapping, place, reason, size) :
				 map_process(mapping, place, reason, size);
}

#endif /* VMA_OWNERS_H */
