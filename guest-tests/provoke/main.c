// SPDX-License-Identifier: GPL-2.0-only
/*
 * Provokes failures of the kernel it is loaded into, so that the harness can
 * be shown to recognize them; one, or several in their order:
 *
 *	insmod provoke.ko how=oops
 *	insmod provoke.ko how=rcu,refcount,lockorder
 *
 * What cannot be survived is not survived: load it in a guest, nowhere else.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/sysreg.h>
#include <asm/virt.h>
#include "provoke.h"

/* The name shows up in command lines, so it is short. */
static char *how = "warn";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "which failures: see the table ways[]");

static unsigned int count = 200;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "lines of how=flood and how=garbage");

/* Between the devices of QEMU's "virt" machine: nothing answers. */
static ulong hole = 0x0b800000;
module_param(hole, ulong, 0444);
MODULE_PARM_DESC(hole, "physical address that no device answers, for how=abort");

static int provoke_panic(void)
{
	panic("provoke: asked to panic");
	return 0;
}

static int provoke_oops(void)
{
	WRITE_ONCE(*(int *)0x10, 0);
	return 0;
}

static int provoke_paging(void)
{
	/* An address of the vmalloc area that nothing is mapped at. */
	WRITE_ONCE(*(int *)(VMALLOC_END - PAGE_SIZE), 0);
	return 0;
}

/* An exception of a class that the kernel never takes from itself. */
static int provoke_exception(void)
{
	asm volatile("svc #0" : : : "memory");
	return 0;
}

static int provoke_bug(void)
{
	BUG();
	return 0;
}

static int provoke_warn(void)
{
	WARN(1, "provoke: asked to warn\n");
	return 0;
}

static int provoke_oom(void)
{
	while (alloc_page(GFP_KERNEL))
		cond_resched();
	return -ENOMEM;
}

static int provoke_abort(void)
{
	void __iomem *va = ioremap(hole, PAGE_SIZE);

	if (!va)
		return -ENOMEM;
	readl(va);
	iounmap(va);
	return 0;
}

/*
 * A virtual SError: takes over EL2 through the boot stub's HVC_SET_VECTORS
 * (arch/arm64/kernel/hyp-stub.S) and sets HCR_EL2.{VSE,AMO} there. Needs a
 * kernel that was entered at EL2, has no VHE and runs with kvm-arm.mode=none.
 */
static int provoke_serror(void)
{
	static const u32 set_vse[] = {
		0xd53c1101,	/* mrs	x1, hcr_el2		*/
		0xb2780021,	/* orr	x1, x1, #HCR_VSE	*/
		0xb27b0021,	/* orr	x1, x1, #HCR_AMO	*/
		0xd51c1101,	/* msr	hcr_el2, x1		*/
		0xd69f03e0,	/* eret				*/
	};
	void *vectors;

	if (read_sysreg(CurrentEL) == CurrentEL_EL2)
		return -ENODEV;
	vectors = (void *)__get_free_page(GFP_KERNEL | __GFP_ZERO);
	if (!vectors)
		return -ENOMEM;
	/* 0x400: synchronous exception from a lower EL, AArch64 */
	memcpy(vectors + 0x400, set_vse, sizeof(set_vse));
	/* EL2 fetches with its MMU off */
	asm volatile("dc civac, %0; dsb sy" : : "r" (vectors + 0x400) : "memory");
	asm volatile("mov x0, %0; mov x1, %1; hvc #0; hvc #0"
		     : : "r" (HVC_SET_VECTORS), "r" (virt_to_phys(vectors))
		     : "x0", "x1", "memory");
	return 0;
}

/* Bytes that are no text, and sequences that a terminal would obey. */
static int provoke_garbage(void)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		pr_emerg("provoke: \x80\xff\xfe\x1b[2J\x1b]0;owned\x07\x1b[31m %u\n", i);
	return 0;
}

static int provoke_flood(void)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		pr_emerg("provoke: flood %u of %u: the quick brown fox jumps over the lazy dog\n",
			 i, count);
		cond_resched();
	}
	return 0;
}

static const struct {
	const char *name;
	int (*provoke)(void);
} ways[] = {
	{ "abort", provoke_abort },
	{ "atomic", provoke_atomic },
	{ "bounds", provoke_bounds },
	{ "bug", provoke_bug },
	{ "cfi", provoke_cfi },
	{ "doublefree", provoke_doublefree },
	{ "exception", provoke_exception },
	{ "flood", provoke_flood },
	{ "garbage", provoke_garbage },
	{ "hang", provoke_hang },
	{ "held", provoke_held },
	{ "hung", provoke_hung },
	{ "irqlock", provoke_irqlock },
	{ "irqoff", provoke_irqoff },
	{ "leak", provoke_leak },
	{ "list", provoke_list },
	{ "lockorder", provoke_lockorder },
	{ "oom", provoke_oom },
	{ "oops", provoke_oops },
	{ "overflow", provoke_overflow },
	{ "paging", provoke_paging },
	{ "panic", provoke_panic },
	{ "race", provoke_race },
	{ "rcu", provoke_rcu },
	{ "recursive", provoke_recursive },
	{ "refcount", provoke_refcount },
	{ "serror", provoke_serror },
	{ "shift", provoke_shift },
	{ "spin", provoke_spin },
	{ "uaf", provoke_uaf },
	{ "unlock", provoke_unlock },
	{ "warn", provoke_warn },
	{ "workqueue", provoke_workqueue },
};

static int provoke(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (!strcmp(name, ways[i].name))
			return ways[i].provoke();
	pr_err("provoke: how=%s is unknown\n", name);
	return -EINVAL;
}

static int __init provoke_init(void)
{
	char *name;
	int error = 0;

	/* The parameter's own copy, which is cut up. */
	while (!error && (name = strsep(&how, ",")))
		error = provoke(name);
	return error;
}
module_init(provoke_init);

static void __exit provoke_exit(void)
{
}
module_exit(provoke_exit);

MODULE_DESCRIPTION("Provokes kernel failures");
MODULE_LICENSE("GPL");
