// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wrong uses of locks and of RCU. None of them hangs: what is told of is what could have happened.
 * All want CONFIG_PROVE_LOCKING, provoke_atomic() CONFIG_DEBUG_ATOMIC_SLEEP.
 */
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include "provoke.h"

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(shared);

/* "possible circular locking dependency" */
int provoke_lockorder(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

/* "possible recursive locking": two locks of one class */
int provoke_recursive(void)
{
	static struct mutex locks[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(locks); i++)
		mutex_init(&locks[i]);
	mutex_lock(&locks[0]);
	mutex_lock(&locks[1]);
	mutex_unlock(&locks[1]);
	mutex_unlock(&locks[0]);
	return 0;
}

static void lock_in_interrupt(struct irq_work *work)
{
	spin_lock(&shared);
	spin_unlock(&shared);
}

/* "inconsistent lock state": taken in an interrupt, and elsewhere with interrupts on */
int provoke_irqlock(void)
{
	static struct irq_work work;

	init_irq_work(&work, lock_in_interrupt);
	irq_work_queue(&work);
	irq_work_sync(&work);
	spin_lock(&shared);
	spin_unlock(&shared);
	return 0;
}

/* "bad unlock balance" */
int provoke_unlock(void)
{
	preempt_disable(); /* which spin_unlock() undoes */
	spin_unlock(&shared);
	return 0;
}

/* "lock held when returning to user space" */
int provoke_held(void)
{
	mutex_lock(&first);
	return 0;
}

/* "suspicious RCU usage" */
int provoke_rcu(void)
{
	static int number;
	static int __rcu *pointer = (int __force __rcu *)&number;

	return READ_ONCE(*rcu_dereference(pointer));
}

/* "sleeping function called from invalid context" */
int provoke_atomic(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
	return 0;
}
