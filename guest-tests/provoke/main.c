// SPDX-License-Identifier: GPL-2.0-only
/*
 * Provokes one failure of the kernel it is loaded into, so that the harness
 * can be shown to recognize it:
 *
 *	insmod provoke.ko how=oops
 *
 * What cannot be survived is not survived: load it in a guest, nowhere else.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/sysreg.h>
#include <asm/virt.h>

/* The name shows up in command lines, so it is short. */
static char *how = "warn";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "which failure: see the table ways[]");

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

static int spin(void)
{
	for (;;)
		cpu_relax();
	return 0;
}

/* Interrupts stay on: a soft lockup, and later an RCU stall. */
static int provoke_spin(void)
{
	preempt_disable();
	return spin();
}

/* One CPU takes no interrupt any more: a hard lockup, seen by another CPU. */
static int provoke_irqoff(void)
{
	local_irq_disable();
	return spin();
}

static void spin_without_interrupts(void *unused)
{
	provoke_irqoff();
}

/* No CPU is left that could print a word. */
static int provoke_hang(void)
{
	on_each_cpu(spin_without_interrupts, NULL, 0);
	return 0;
}

/* The loading task itself sleeps where no signal reaches it. */
static int provoke_hung(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
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
	{ "bug", provoke_bug },
	{ "flood", provoke_flood },
	{ "garbage", provoke_garbage },
	{ "hang", provoke_hang },
	{ "hung", provoke_hung },
	{ "irqoff", provoke_irqoff },
	{ "oom", provoke_oom },
	{ "oops", provoke_oops },
	{ "paging", provoke_paging },
	{ "panic", provoke_panic },
	{ "serror", provoke_serror },
	{ "spin", provoke_spin },
	{ "warn", provoke_warn },
};

static int __init provoke_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (!strcmp(how, ways[i].name))
			return ways[i].provoke();
	pr_err("provoke: how=%s is unknown\n", how);
	return -EINVAL;
}
module_init(provoke_init);

static void __exit provoke_exit(void)
{
}
module_exit(provoke_exit);

MODULE_DESCRIPTION("Provokes one kernel failure");
MODULE_LICENSE("GPL");
