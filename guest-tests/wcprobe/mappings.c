// SPDX-License-Identifier: GPL-2.0-only
/* The mappings under test, and what the MMU says of one. */
#include <asm/barrier.h>
#include <asm/sysreg.h>
#include <linux/bitfield.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>

#include "wcprobe.h"

/* ioremap() and its kin are macros or inline functions. */
#define MAP_WITH(api)							\
static void __iomem *map_##api(phys_addr_t start, size_t size)		\
{									\
	return api(start, size);					\
}

MAP_WITH(ioremap)
MAP_WITH(ioremap_np)
MAP_WITH(ioremap_wc)

/* ioremap_wc is last: its unaligned accesses are what may end the guest. */
const struct mapping mappings[] = {
	{ "ioremap",	0x04, map_ioremap },
	{ "ioremap_np",	0x00, map_ioremap_np },
	{ "ioremap_wc",	0x44, map_ioremap_wc },
};

const unsigned int nr_mappings = ARRAY_SIZE(mappings);

u64 read_par(const void __iomem *va)
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
bool par_fault(u64 par)
{
	return par & BIT_ULL(0);
}

u8 par_attr(u64 par)
{
	return FIELD_GET(GENMASK_ULL(63, 56), par);
}

const char *attr_name(u8 attr)
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

bool attr_is_device(u8 attr)
{
	return !(attr & 0xf0);
}
