// SPDX-License-Identifier: GPL-2.0-only
/* Memory, counters and lists that are used wrongly, and what C leaves undefined. */
#include <linux/jiffies.h>
#include <linux/kfence.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/delay.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "provoke.h"

#define OBJECT_SIZE 128
#define LEAKS 4
#define RACE_MS 1000

/*
 * An object that somebody guards: KFENCE guards a sample, which is waited for; with KASAN it is
 * any. Elsewhere what is done to it may do harm that nobody sees.
 */
static u8 *guarded_object(void)
{
	unsigned long end = jiffies + 5 * HZ;
	u8 *object;

	while ((object = kmalloc(OBJECT_SIZE, GFP_KERNEL))) {
		if (!IS_ENABLED(CONFIG_KFENCE) || IS_ENABLED(CONFIG_KASAN) ||
		    is_kfence_address(object) || time_after(jiffies, end))
			break;
		kfree(object);
		cond_resched();
	}
	OPTIMIZER_HIDE_VAR(object);
	return object;
}

/* KASAN tells at once; KFENCE at once or when the object is freed, which depends on its place. */
int provoke_overflow(void)
{
	u8 *object = guarded_object();

	if (!object)
		return -ENOMEM;
	WRITE_ONCE(object[OBJECT_SIZE], 0xee);
	kfree(object);
	return 0;
}

int provoke_uaf(void)
{
	u8 *object = guarded_object(), *gone = object;

	if (!object)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(gone);
	kfree(object);
	READ_ONCE(*gone);
	return 0;
}

int provoke_doublefree(void)
{
	u8 *object = guarded_object(), *gone = object;

	if (!object)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(gone);
	kfree(object);
	kfree(gone);
	return 0;
}

static noinline void lose_an_object(void)
{
	/* Zeroed: the allocator has left a pointer to the next free object in it. */
	void *object = kzalloc(OBJECT_SIZE, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(object);
}

/* kmemleak tells of them in a scan, 5 s later. */
int provoke_leak(void)
{
	int i;

	/* Something stale may point to the first or the last one. */
	for (i = 0; i < LEAKS; i++)
		lose_an_object();
	return 0;
}

int provoke_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(1);

	refcount_dec(&count); /* "decrement hit 0" */
	return 0;
}

int provoke_list(void)
{
	LIST_HEAD(list);
	struct list_head item;

	list_add(&item, &list);
	list_add(&item, &list);
	return 0;
}

int provoke_shift(void)
{
	static unsigned int bits = 64;
	static unsigned long result;

	WRITE_ONCE(result, 1UL << READ_ONCE(bits));
	return 0;
}

int provoke_bounds(void)
{
	static unsigned int index = 4;
	static int values[4], result;

	WRITE_ONCE(result, values[READ_ONCE(index)]);
	return 0;
}

static noinline void take_int(int number)
{
	OPTIMIZER_HIDE_VAR(number);
}

/* Through a pointer of another type. */
int provoke_cfi(void)
{
	void (*call)(unsigned long, void *) = (void *)take_int;

	OPTIMIZER_HIDE_VAR(call);
	call(0, NULL);
	return 0;
}

static unsigned long counter;

static int count(void *unused)
{
	while (!kthread_should_stop()) {
		counter++;
		cond_resched();
	}
	return 0;
}

/* Wants two CPUs. */
int provoke_race(void)
{
	struct task_struct *threads[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = kthread_run(count, NULL, "provoke/%zu", i);
	msleep(RACE_MS);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		if (!IS_ERR(threads[i]))
			kthread_stop(threads[i]);
	return 0;
}
