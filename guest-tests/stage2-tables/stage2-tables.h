/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* The requests of /dev/stage2-tables, for the module and for read-tables.c. */
#ifndef S2EVAL_STAGE2_TABLES_H
#define S2EVAL_STAGE2_TABLES_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TABLES_DEVICE "/dev/stage2-tables"
#define TABLES_LEVELS 5 /* from level -1 (LPA2) to level 3 */

/*
 * Which stage 2 of a VM: 0 is the VM's own, N is the N-th shadow that KVM has
 * built for a guest of that VM (nested virtualization).
 */
struct tables_root {
	__s32 vm; /* file descriptor of the VM */
	__u32 mmu;
	__u32 mmus; /* out: how many there are, the VM's own included */
	__u32 in_use; /* out: 0 for a shadow that KVM holds ready only */
	__u64 vttbr; /* out: VTTBR_EL2 and VTCR_EL2 as KVM loads them */
	__u64 vtcr;
	__u64 guest_vttbr; /* out: VTTBR_EL2 of the guest hypervisor, for a shadow */
	__u64 guest_vtcr;
};

struct tables_entry {
	__u64 address; /* physical */
	__u64 descriptor;
};

/* The descriptors on the way to an IPA, all read under one hold of KVM's lock. */
struct tables_path {
	__s32 vm;
	__u32 mmu;
	__u64 ipa;
	__u32 count; /* out: of entries */
	__u32 has_value; /* out: the IPA is mapped to memory */
	struct tables_entry entry[TABLES_LEVELS];
	struct tables_entry value; /* out: the 8 bytes at the IPA, and where they are */
};

/* Registers of a vCPU that is not running. Names as in the Arm ARM. */
struct tables_vcpu {
	__s32 vcpu; /* file descriptor of the vCPU */
	__u32 has_el2; /* out: the guest has EL2, its hypervisor's registers follow */
	__u64 pstate;
	__u64 hcr_el2;
	__u64 ttbr0_el1;
	__u64 ttbr1_el1;
	__u64 tcr_el1;
	__u64 tcr2_el1;
	__u64 mair_el1;
	__u64 sctlr_el1;
	__u64 vbar_el1;
	__u64 guest_hcr_el2;
	__u64 guest_vttbr_el2;
	__u64 guest_vtcr_el2;
	__u64 id_aa64mmfr0_el1; /* of the CPU that answered */
	__u64 id_aa64mmfr1_el1;
};

#define TABLES_ROOT _IOWR('S', 0x70, struct tables_root)
#define TABLES_PATH _IOWR('S', 0x71, struct tables_path)
#define TABLES_VCPU _IOWR('S', 0x72, struct tables_vcpu)

#endif /* S2EVAL_STAGE2_TABLES_H */
