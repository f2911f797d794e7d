/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file that runs a step of a suite with each read(), and gives its text: what was
 * seen before a step that ends the guest has been read, and sent away, by then.
 */
#ifndef S2EVAL_STEPS_H
#define S2EVAL_STEPS_H

#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/uaccess.h>

#include "report.h"

/* An open file: what its steps share, and the text of the last one. */
struct reader {
	struct mutex lock;	/* of all that follows */
	void *session;
	const struct report *report;
	size_t taken;
};

/*
 * @step runs a step; its text, empty after the last one, is valid until the next. A
 * short buffer gets the rest of the text before the next step runs.
 */
static inline ssize_t read_step(struct reader *reader, char __user *to, size_t size,
				const struct report *(*step)(void *session))
{
	ssize_t taken;

	if (mutex_lock_interruptible(&reader->lock))
		return -ERESTARTSYS;
	if (!reader->report || reader->taken == reader->report->used) {
		reader->report = step(reader->session);
		reader->taken = 0;
	}
	taken = min(size, reader->report->used - reader->taken);
	if (copy_to_user(to, reader->report->text + reader->taken, taken))
		taken = -EFAULT;
	else
		reader->taken += taken;
	mutex_unlock(&reader->lock);
	return taken;
}

#endif /* S2EVAL_STEPS_H */
