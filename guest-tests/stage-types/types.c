// SPDX-License-Identifier: GPL-2.0-only
/*
 * The seven memory types and the MAIR_EL1 fields they are in. Linux has four of them
 * in fields 0 to 4 (MT_* in asm/memory.h); the other three go into the free fields
 * 5 to 7, which no page-table entry refers to, so no TLB holds any of them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/barrier.h>
#include <asm/memory.h>
#include <asm/pgtable-hwdef.h>
#include <asm/pgtable-prot.h>
#include <asm/sysreg.h>
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/smp.h>

#include "stage-types.h"

#define FIRST_FREE	5
#define FREE_FIELDS	GENMASK_ULL(63, 8 * FIRST_FREE)

/* The Normal ones come last: over a Device stage 2 their unaligned loads end the guest. */
const struct type types[] = {
	{ "Device-nGnRnE",	0x00,	MT_DEVICE_nGnRnE },
	{ "Device-nGnRE",	0x04,	MT_DEVICE_nGnRE },
	{ "Device-nGRE",	0x08,	FIRST_FREE },
	{ "Device-GRE",		0x0c,	FIRST_FREE + 1 },
	{ "Normal-NC",		0x44,	MT_NORMAL_NC },
	{ "Normal-WT",		0xbb,	FIRST_FREE + 2 },
	{ "Normal-WB",		0xff,	MT_NORMAL },
};

const unsigned int nr_types = ARRAY_SIZE(types);

static void set_free_fields(void *fields)
{
	u64 mair = read_sysreg(mair_el1) & ~FREE_FIELDS;

	write_sysreg(mair | *(u64 *)fields, mair_el1);
	isb();
}

int add_types(void)
{
	u64 mair = read_sysreg(mair_el1), fields = 0;
	unsigned int i;

	if (mair & FREE_FIELDS) {
		pr_err("MAIR_EL1 is %#llx: the kernel uses fields %d to 7\n", mair, FIRST_FREE);
		return -EBUSY;
	}
	for (i = 0; i < nr_types; i++)
		if (types[i].index >= FIRST_FREE)
			fields |= (u64)types[i].attr << (8 * types[i].index);
	on_each_cpu(set_free_fields, &fields, true);
	return 0;
}

void drop_types(void)
{
	u64 fields = 0;

	on_each_cpu(set_free_fields, &fields, true);
}

static u64 attributes(const struct type *type)
{
	return (PROT_NORMAL_NC & ~PTE_ATTRINDX_MASK) | PTE_ATTRINDX(type->index);
}

/*
 * The function below ioremap_wc() has another name or another type of its argument in
 * each series of kernels. The macro has neither, and takes the attributes by this name.
 */
#undef PROT_NORMAL_NC
#define PROT_NORMAL_NC	attributes(type)

void __iomem *map_type(const struct type *type, phys_addr_t start, size_t size)
{
	return ioremap_wc(start, size);
}
