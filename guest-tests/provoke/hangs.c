// SPDX-License-Identifier: GPL-2.0-only
/* CPUs and tasks that never come back. */
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/workqueue.h>
#include "provoke.h"

static int spin(void)
{
	for (;;)
		cpu_relax();
	return 0;
}

/* Interrupts stay on: a soft lockup, and later an RCU stall. */
int provoke_spin(void)
{
	preempt_disable();
	return spin();
}

/* One CPU takes no interrupt any more: a hard lockup, seen by another CPU. */
int provoke_irqoff(void)
{
	local_irq_disable();
	return spin();
}

static void spin_without_interrupts(void *unused)
{
	provoke_irqoff();
}

/* No CPU is left that could print a word. */
int provoke_hang(void)
{
	on_each_cpu(spin_without_interrupts, NULL, 0);
	return 0;
}

/* The loading task itself sleeps where no signal reaches it. */
int provoke_hung(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
	return 0;
}

static void spin_politely(struct work_struct *work)
{
	for (;;)
		cond_resched();
}

static void do_nothing(struct work_struct *work)
{
}

/*
 * The second item waits for the first one, whose worker never sleeps. Others get the CPU, so that
 * it is no soft lockup. Since 6.6 such a worker is noticed and the second item gets another one.
 */
int provoke_workqueue(void)
{
	static DECLARE_WORK(first, spin_politely);
	static DECLARE_WORK(second, do_nothing);

	schedule_work_on(0, &first);
	schedule_work_on(0, &second);
	return 0;
}
