/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that a memslot has by a descriptor, and the VMM by mmap() of it (KVM_CREATE_GUEST_MEMFD,
 * Documentation/virt/kvm/api.rst 4.142); what KVM's API has of it since 6.8, for older headers.
 */
#ifndef VMA_GUEST_MEMFD_H
#define VMA_GUEST_MEMFD_H

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define GUEST_MEMFD_CAP_FLAGS	244	/* KVM_CAP_GUEST_MEMFD_FLAGS */
#define GUEST_MEMFD_MMAP	(1UL << 0)
#define GUEST_MEMFD_SHARED	(1UL << 1)	/* GUEST_MEMFD_FLAG_INIT_SHARED */
#define SLOT_GUEST_MEMFD	(1U << 2)	/* KVM_MEM_GUEST_MEMFD */

struct guest_memfd {
	uint64_t size, flags, reserved[6];
};

struct memslot2 {
	struct kvm_userspace_memory_region region;
	uint64_t guest_memfd_offset;
	uint32_t guest_memfd, pad1;
	uint64_t pad2[14];
};

#define CREATE_GUEST_MEMFD	_IOWR(KVMIO, 0xd4, struct guest_memfd)
#define SET_MEMSLOT2		_IOW(KVMIO, 0x49, struct memslot2)

/* A descriptor is its VM's, so there is one of each in a process; -1: not yet. */
static int guest_memfd = -1, guest_memfd_vm = -1;

/* The VM for the descriptor, or a new one; -1 with errno. */
static inline int vm_of_guest_memfd(void)
{
	int kvm;

	if (guest_memfd_vm < 0) {
		kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		guest_memfd_vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	}
	return guest_memfd_vm;
}

/* MAP_FAILED with errno, EOPNOTSUPP where a guest_memfd cannot be mapped. */
static inline void *map_guest_memfd(void *place, size_t bytes)
{
	struct guest_memfd made = { .size = bytes, .flags = GUEST_MEMFD_MMAP | GUEST_MEMFD_SHARED };
	int vm = vm_of_guest_memfd(), flags;

	if (vm < 0)
		return MAP_FAILED;
	flags = ioctl(vm, KVM_CHECK_EXTENSION, GUEST_MEMFD_CAP_FLAGS);
	if (flags < 0 || (flags & made.flags) != made.flags) {
		errno = EOPNOTSUPP;
		return MAP_FAILED;
	}
	guest_memfd = ioctl(vm, CREATE_GUEST_MEMFD, &made);
	return guest_memfd < 0 ? MAP_FAILED : mmap(place, bytes, PROT_READ | PROT_WRITE,
						   MAP_SHARED | MAP_FIXED, guest_memfd, 0);
}

/* KVM_SET_USER_MEMORY_REGION, with the descriptor where there is one. */
static inline int set_memslot(int vm, struct kvm_userspace_memory_region *region, bool by_descriptor)
{
	struct memslot2 slot = { .region = *region, .guest_memfd = guest_memfd };

	if (!by_descriptor)
		return ioctl(vm, KVM_SET_USER_MEMORY_REGION, region);
	slot.region.flags |= SLOT_GUEST_MEMFD;
	return ioctl(vm, SET_MEMSLOT2, &slot);
}

#endif /* VMA_GUEST_MEMFD_H */
