/* SPDX-License-Identifier: GPL-2.0-only */
/* Where 6.1, 6.12 and 7.2 keep what this module reads of KVM. */
#ifndef S2EVAL_STAGE2_TABLES_COMPAT_H
#define S2EVAL_STAGE2_TABLES_COMPAT_H

#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/version.h>

#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>

/* VTCR_EL2 moved from the VM to each of its stage 2s with 6.7. */
static inline u64 mmu_vtcr(struct kvm_s2_mmu *mmu)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return mmu->vtcr;
#else
	return mmu->arch->vtcr;
#endif
}

/* Shadows of stage 2 came with 6.11, as an array; 7.2 has an array of pointers to them. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define HAS_SHADOWS 1
static inline size_t shadows(struct kvm *kvm)
{
	return kvm->arch.nested_mmus ? kvm->arch.nested_mmus_size : 0;
}

static inline struct kvm_s2_mmu *shadow(struct kvm *kvm, size_t number)
{
	void *mmus = kvm->arch.nested_mmus;

	if (__builtin_types_compatible_p(typeof(kvm->arch.nested_mmus), struct kvm_s2_mmu **))
		return ((struct kvm_s2_mmu **)mmus)[number];
	return (struct kvm_s2_mmu *)mmus + number;
}

static inline bool has_el2(const struct kvm_vcpu *vcpu)
{
	return vcpu_has_feature(vcpu, KVM_ARM_VCPU_HAS_EL2);
}
#else
#define HAS_SHADOWS 0
static inline size_t shadows(struct kvm *kvm)
{
	return 0;
}

static inline struct kvm_s2_mmu *shadow(struct kvm *kvm, size_t number)
{
	return NULL;
}
#endif

#ifndef fd_file /* an accessor since 6.12, a member before */
#define fd_file(f) ((f).file)
#endif

#endif /* S2EVAL_STAGE2_TABLES_COMPAT_H */
