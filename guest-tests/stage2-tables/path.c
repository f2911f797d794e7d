// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stage 2 of a VM, as KVM has it in memory: its root, and the descriptors on
 * the way to an IPA. What they mean is told elsewhere; this only fetches them.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>

#include <asm/cputype.h>
#include <asm/sysreg.h>

#include "compat.h"
#include "module.h"

#define LEVEL_BITS (PAGE_SHIFT - 3)
#define VMID_SHIFT 48
#define MMFR1_VMID_BITS GENMASK(7, 4) /* ID_AA64MMFR1_EL1.VMIDBits: 2 for 16 bits */
#define VMID_16 2

/* KVM's lock of the VM is held: a stage 2 is only freed by its writers. */
static struct kvm_s2_mmu *find_mmu(struct kvm *kvm, u32 number)
{
	struct kvm_s2_mmu *mmu;

	lockdep_assert_held(&kvm->mmu_lock);
	if (!number)
		mmu = &kvm->arch.mmu;
	else
		mmu = number <= shadows(kvm) ? shadow(kvm, number - 1) : NULL;
	if (!mmu || !mmu->pgt)
		return ERR_PTR(-ENXIO);
	/* Where EL2 keeps the tables, the host has only a list of what it gave. */
	return mmu->pgd_phys ? mmu : ERR_PTR(-EOPNOTSUPP);
}

static u64 vttbr_of(struct kvm_s2_mmu *mmu)
{
	u64 mmfr1 = read_sysreg(id_aa64mmfr1_el1);
	u64 bits = FIELD_GET(MMFR1_VMID_BITS, mmfr1) == VMID_16 ? 16 : 8;
	u64 vmid = atomic64_read(&mmu->vmid.id) & GENMASK_ULL(bits - 1, 0);

	return kvm_phys_to_vttbr(mmu->pgd_phys) | vmid << VMID_SHIFT |
	       (system_supports_cnp() ? VTTBR_CNP_BIT : 0);
}

int tables_root(struct kvm *kvm, struct tables_root *root)
{
	struct kvm_s2_mmu *mmu;

	write_lock(&kvm->mmu_lock);
	root->mmus = 1 + shadows(kvm);
	mmu = find_mmu(kvm, root->mmu);
	if (!IS_ERR(mmu)) {
		root->vttbr = vttbr_of(mmu);
		root->vtcr = mmu_vtcr(mmu);
		root->in_use = 1;
		root->guest_vttbr = 0;
		root->guest_vtcr = 0;
#if HAS_SHADOWS
		if (root->mmu) {
			root->in_use = mmu->nested_stage2_enabled && !(mmu->tlb_vttbr & 1);
			root->guest_vttbr = mmu->tlb_vttbr;
			root->guest_vtcr = mmu->tlb_vtcr;
		}
#endif
	}
	write_unlock(&kvm->mmu_lock);
	return PTR_ERR_OR_ZERO(mmu);
}

/* Only memory is read; whatever a wrong descriptor names, it does not fault. */
static bool read_u64(u64 address, u64 *value)
{
	if (!IS_ALIGNED(address, 8) || !pfn_valid(PHYS_PFN(address)) ||
	    !pfn_is_map_memory(PHYS_PFN(address)))
		return false;
	return !copy_from_kernel_nofault(value, phys_to_virt(address), sizeof(*value));
}

static void follow(struct kvm_s2_mmu *mmu, struct tables_path *path)
{
	u64 ia_bits = mmu->pgt->ia_bits;
	u64 table = mmu->pgd_phys;
	u64 index_bits;
	int level = mmu->pgt->start_level;

	path->count = 0;
	path->has_value = 0;
	if (path->ipa >> ia_bits)
		return;
	/* The first table may be several that are concatenated (Arm ARM D8.2.2). */
	index_bits = ia_bits - kvm_granule_shift(level);
	while (path->count < TABLES_LEVELS) {
		u64 shift = kvm_granule_shift(level);
		u64 index = path->ipa >> shift & GENMASK_ULL(index_bits - 1, 0);
		struct tables_entry *entry = &path->entry[path->count];

		entry->address = table + 8 * index;
		if (!read_u64(entry->address, &entry->descriptor))
			return;
		path->count++;
		if (!(entry->descriptor & KVM_PTE_VALID))
			return;
		table = kvm_pte_to_phys(entry->descriptor);
		if (level == 3 || !(entry->descriptor & BIT(1))) {
			table &= ~GENMASK_ULL(shift - 1, 0);
			path->value.address = table | (path->ipa & GENMASK_ULL(shift - 1, 0));
			path->has_value = read_u64(path->value.address, &path->value.descriptor);
			return;
		}
		level++;
		index_bits = LEVEL_BITS;
	}
}

int tables_path(struct kvm *kvm, struct tables_path *path)
{
	struct kvm_s2_mmu *mmu;

	write_lock(&kvm->mmu_lock);
	mmu = find_mmu(kvm, path->mmu);
	if (!IS_ERR(mmu))
		follow(mmu, path);
	write_unlock(&kvm->mmu_lock);
	return PTR_ERR_OR_ZERO(mmu);
}
