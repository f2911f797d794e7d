/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One combination in a process of its own, which a kernel may kill or keep for ever: what came of
 * it is in memory that is shared with the parent.
 */
#ifndef VMA_VCPU_H
#define VMA_VCPU_H

#include <sys/prctl.h>
#include <signal.h>

#include "combinations.h"

#define FOUND	0x1122334455667788UL	/* in the memory before the guest runs */
#define STORED	0x99aabbccddeeff01UL	/* what the guest stores */

/* How far the process has come. */
enum stage { STARTING, MAPPING, SETTING_UP, ADDING_SLOT, RUNNING, READING, PARKED };

static const char * const stage_names[] = {
	[STARTING] = "starting", [MAPPING] = "mmap", [SETTING_UP] = "the VM's creation",
	[ADDING_SLOT] = "KVM_SET_USER_MEMORY_REGION", [RUNNING] = "KVM_RUN",
	[READING] = "reading the memory back", [PARKED] = "KVM_RUN of the parked guest",
};

struct account {
	volatile enum stage stage;
	const char *failed;	/* a call of the test's own that failed with `error` */
	int error, slot, run;	/* errno of it, of the memslot, of KVM_RUN */
	uint32_t exit;		/* KVM_EXIT_... */
	uint64_t address;	/* of KVM_EXIT_MMIO */
	uint64_t esr, far, loaded, after;
	unsigned int stale;	/* rounds in which a page was read that had been taken away */
	uintptr_t memory;	/* where the process has mapped it */
	char reason[96];	/* why the mapping cannot be had */
};

/* Whether a load gives what was stored: registers do as they like. */
static inline bool holds_data(const struct mapping *mapping)
{
	return mapping->module || mapping->kind != PLATFORM;
}

static inline void prepare_memory(const struct access *access, void *memory)
{
	if (access->data == LOADS)
		*(volatile uint64_t *)memory = FOUND;
	if (access->data == RETURNS)
		*(volatile uint32_t *)memory = RETURN_INSTRUCTION;
}

static inline void take_registers(struct vm *vm, struct account *account)
{
	account->exit = vm->run->exit_reason;
	if (account->exit == KVM_EXIT_MMIO)
		account->address = vm->run->mmio.phys_addr;
	account->loaded = get_reg(vm, X_REG(3));
	account->esr = get_reg(vm, X_REG(4));
	account->far = get_reg(vm, X_REG(5));
}

/* Up to the payload's end. False when the guest never ran; `failed` is set for the test's own. */
static inline bool run_payload(struct vm *vm, const struct mapping *mapping,
			       const struct access *access, int kvm, struct account *account)
{
	static struct poll poll;
	void *memory;

	account->stage = MAPPING;
	memory = map_memory(mapping, account->reason, sizeof(account->reason));
	if (memory == MAP_FAILED)
		return *account->reason ? false : vm_fail(vm, "mmap");
	account->memory = (uintptr_t)memory;
	if (holds_data(mapping))
		prepare_memory(access, memory);
	account->stage = SETTING_UP;
	if (!make_vm(vm, kvm, access->stage1, STORED, access->needs == MTE))
		return false;
	account->stage = ADDING_SLOT;
	if (!add_slot(vm, 1, TESTED_IPA, memory, mapping->size->bytes, access->slot_flags,
		      !mapping->module && mapping->kind == GUEST_MEMFD)) {
		account->slot = errno;
		vm->failed = NULL;
		return false;
	}
	poll = (struct poll){
		.vm = vm, .event = access->event, .memory = memory, .value = FOUND,
	};
	if (!begin_event(&poll))
		return vm_fail(vm, "the event's thread");
	account->stage = RUNNING;
	account->run = run_from(vm, access->code);
	take_registers(vm, account);
	if (!end_event(&poll))
		return false;
	account->stale = poll.stale;
	account->stage = READING;
	if (access->data == STORES && holds_data(mapping))
		account->after = *(volatile uint64_t *)memory;
	return true;
}

/*
 * In the child: writes to `done` when the guest has run, or cannot. The guest then spins, so that
 * its tables can be read, until this process is killed.
 */
static inline void __attribute__((noreturn)) run_child(const struct mapping *mapping,
						       const struct access *access, int kvm,
						       struct account *account, int done)
{
	struct vm vm = { .failed = NULL };
	bool ran;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	errno = 0;
	ran = run_payload(&vm, mapping, access, kvm, account);
	account->error = errno;
	account->failed = vm.failed;
	if (ran)
		account->stage = PARKED;
	if (write(done, "", 1) < 0)
		_exit(1);
	if (ran)
		park(&vm, account->run);
	_exit(0);
}

#endif /* VMA_VCPU_H */
