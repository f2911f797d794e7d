/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest's own MMU says of a mapping: stage 1 alone, through AT S1E1R. */
#ifndef S2EVAL_STAGE1_H
#define S2EVAL_STAGE1_H

#include <asm/barrier.h>
#include <asm/sysreg.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/irqflags.h>
#include <linux/types.h>

/* PAR_EL1 after AT S1E1R of @va. */
static inline u64 read_par(const void __iomem *va)
{
	unsigned long flags;
	u64 par;

	/* An interrupt could use PAR_EL1 for itself. */
	local_irq_save(flags);
	asm volatile("at s1e1r, %0" : : "r" (va) : "memory");
	isb();
	par = read_sysreg_par();
	local_irq_restore(flags);
	return par;
}

/* F is bit 0 and ATTR bits 63:56 (Arm ARM DDI 0487, the description of PAR_EL1). */
static inline bool par_fault(u64 par)
{
	return par & BIT_ULL(0);
}

static inline u8 par_attr(u64 par)
{
	return FIELD_GET(GENMASK_ULL(63, 56), par);
}

/* "Normal-NC" for 0x44; "unknown" for what no suite sets up. */
static inline const char *attr_name(u8 attr)
{
	switch (attr) {
	case 0x00:
		return "Device-nGnRnE";
	case 0x04:
		return "Device-nGnRE";
	case 0x08:
		return "Device-nGRE";
	case 0x0c:
		return "Device-GRE";
	case 0x44:
		return "Normal-NC";
	case 0xbb:
		return "Normal-WT";
	case 0xff:
		return "Normal-WB";
	default:
		return "unknown";
	}
}

static inline bool attr_is_device(u8 attr)
{
	return !(attr & 0xf0);
}

/* Normal memory, and not the Non-cacheable one. */
static inline bool attr_is_cacheable(u8 attr)
{
	return !attr_is_device(attr) && attr != 0x44;
}

#endif /* S2EVAL_STAGE1_H */
