/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM of one vCPU on the KVM API (Documentation/virt/kvm/api.rst), without Linux in it: one page
 * of code (payload.h), stage-1 tables, and one memslot with any mapping of this process.
 */
#ifndef VMA_VM_H
#define VMA_VM_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/kvm.h>

#include "guest-memfd.h"
#include "payload.h"

/* Guest-physical addresses; the guest's virtual ones are the same. */
#define REPORT_IPA	0x09000000UL	/* no memslot */
#define RAM_IPA		0x40000000UL
#define TESTED_IPA	0x80000000UL
#define RAM_SIZE	0x4000UL
#define TABLE		0x1000UL	/* offset in RAM of the only table, of level 1 */
#define SHARED		0x2000UL	/* and of what the guest and the VMM tell each other (poll.h) */
#define GIB		0x40000000UL

/* MAIR_EL1 in the order of enum stage1, from OFF on counted by 0. */
#define MAIR		0xf0ffbb440c080400UL
enum stage1 { S1_NGNRNE, S1_NGNRE, S1_NGRE, S1_GRE, S1_NC, S1_WT, S1_WB, S1_TAGGED, S1_OFF };

#define BLOCK(address, attr) ((address) | 1UL << 10 | 3UL << 8 | (uint64_t)(attr) << 2 | 1)
/* 39-bit addresses, 4K granule, walks inner shareable and write-back, no TTBR1, 40-bit PAs. */
#define TCR		(25UL | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2UL << 32)
#define SCTLR_RES1	0x30d00800UL
#define SCTLR_ON	(SCTLR_RES1 | 1 << 0 | 1 << 2 | 1 << 12)	/* M, C, I */
#define SCTLR_ATA	(1UL << 43)

#define CORE_REG(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
			KVM_REG_ARM_CORE_REG(name))
#define X_REG(number) (CORE_REG(regs.regs[0]) + 2 * (number))
#define SCTLR_EL1	ARM64_SYS_REG(3, 0, 1, 0, 0)
#define TTBR0_EL1	ARM64_SYS_REG(3, 0, 2, 0, 0)
#define TCR_EL1		ARM64_SYS_REG(3, 0, 2, 0, 2)
#define MAIR_EL1	ARM64_SYS_REG(3, 0, 10, 2, 0)
#define VBAR_EL1	ARM64_SYS_REG(3, 0, 12, 0, 0)

struct vm {
	int fd, vcpu;
	struct kvm_run *run;
	char *ram;
	const char *failed;	/* the call that failed, errno says why */
};

static inline bool vm_fail(struct vm *vm, const char *call)
{
	vm->failed = call;
	return false;
}

static inline bool set_reg(struct vm *vm, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	return !ioctl(vm->vcpu, KVM_SET_ONE_REG, &reg) || vm_fail(vm, "KVM_SET_ONE_REG");
}

static inline uint64_t get_reg(struct vm *vm, uint64_t id)
{
	uint64_t value = 0;
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	ioctl(vm->vcpu, KVM_GET_ONE_REG, &reg);
	return value;
}

/*
 * A memslot with `size` bytes of this process from `memory` on, which are those of guest_memfd with
 * `by_descriptor`. False with errno when refused.
 */
static inline bool add_slot(struct vm *vm, uint32_t slot, uint64_t ipa, void *memory, size_t size,
			    uint32_t flags, bool by_descriptor)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = ipa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	return !set_memslot(vm->fd, &region, by_descriptor) ||
	       vm_fail(vm, "KVM_SET_USER_MEMORY_REGION");
}

/* Private, as a VM with MTE takes no shared memory. */
static inline bool add_ram(struct vm *vm, enum stage1 type)
{
	uint64_t *table;

	vm->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->ram == MAP_FAILED)
		return vm_fail(vm, "mmap");
	memcpy(vm->ram, guest_code, TABLE);
	__builtin___clear_cache(vm->ram, vm->ram + TABLE);
	table = (uint64_t *)(vm->ram + TABLE);
	table[REPORT_IPA / GIB] = BLOCK(0, S1_NGNRNE);
	table[RAM_IPA / GIB] = BLOCK(RAM_IPA, S1_WB);
	table[TESTED_IPA / GIB] = BLOCK(TESTED_IPA, type);
	return add_slot(vm, 0, RAM_IPA, vm->ram, RAM_SIZE, 0, false);
}

static inline bool make_vcpu(struct vm *vm, int kvm)
{
	struct kvm_vcpu_init init;
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu < 0)
		return vm_fail(vm, "KVM_CREATE_VCPU");
	vm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		return vm_fail(vm, "mmap");
	if (ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init))
		return vm_fail(vm, "KVM_ARM_PREFERRED_TARGET");
	return !ioctl(vm->vcpu, KVM_ARM_VCPU_INIT, &init) || vm_fail(vm, "KVM_ARM_VCPU_INIT");
}

static inline bool set_registers(struct vm *vm, enum stage1 type, uint64_t value)
{
	uint64_t control = type == S1_OFF ? SCTLR_RES1 : SCTLR_ON;

	if (type == S1_TAGGED)
		control |= SCTLR_ATA;
	return set_reg(vm, X_REG(0), TESTED_IPA) && set_reg(vm, X_REG(1), value) &&
	       set_reg(vm, X_REG(2), REPORT_IPA) && set_reg(vm, X_REG(11), RAM_IPA + SHARED) &&
	       set_reg(vm, VBAR_EL1, RAM_IPA) &&
	       set_reg(vm, MAIR_EL1, MAIR) && set_reg(vm, TCR_EL1, TCR) &&
	       set_reg(vm, TTBR0_EL1, RAM_IPA + TABLE) && set_reg(vm, SCTLR_EL1, control);
}

/* A VM that maps the tested memory with `type` at stage 1 and would store `value` there. */
static inline bool make_vm(struct vm *vm, int kvm, enum stage1 type, uint64_t value, bool mte)
{
	struct kvm_enable_cap capability = { .cap = KVM_CAP_ARM_MTE };

	vm->fd = guest_memfd >= 0 ? guest_memfd_vm : ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return vm_fail(vm, "KVM_CREATE_VM");
	if (mte && ioctl(vm->fd, KVM_ENABLE_CAP, &capability))
		return vm_fail(vm, "KVM_ENABLE_CAP");
	return add_ram(vm, type) && make_vcpu(vm, kvm) && set_registers(vm, type, value);
}

/* Runs the guest until it exits to the VMM. 0, or the errno of KVM_RUN. */
static inline int run(struct vm *vm)
{
	while (ioctl(vm->vcpu, KVM_RUN, 0))
		if (errno != EINTR)
			return errno;
	return 0;
}

/* The same from `code` on, a place in the page of code. */
static inline int run_from(struct vm *vm, const char *code)
{
	if (!set_reg(vm, CORE_REG(regs.pc), RAM_IPA + (code - guest_code)))
		return errno;
	return run(vm);
}

/*
 * Lets the guest spin at its end, where an access that was trapped may still lie before it. A vCPU
 * that KVM could not run is put there. Returns when that cannot be.
 */
static inline void park(struct vm *vm, bool killed)
{
	int error = killed ? run_from(vm, guest_park) : 0;

	while (!error)
		error = run(vm);
}

#endif /* VMA_VM_H */
