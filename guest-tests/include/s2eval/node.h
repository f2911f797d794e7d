/* SPDX-License-Identifier: GPL-2.0-only */
/* The node /dev/NAME of a suite: each open file is a session, each read() a step of it. */
#ifndef S2EVAL_NODE_H
#define S2EVAL_NODE_H

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "steps.h"

/* What a suite does; node_register() fills in the rest. */
struct node {
	void *(*start)(void);			/* a session, or an error pointer */
	const struct report *(*step)(void *session);	/* as for read_step() */
	void (*end)(void *session);
	struct miscdevice misc;
};

struct node_file {
	struct reader reader;
	const struct node *node;
};

static inline int node_open(struct inode *inode, struct file *file)
{
	/* misc_open() left the device there. */
	const struct node *node = container_of(file->private_data, struct node, misc);
	struct node_file *opened = kzalloc(sizeof(*opened), GFP_KERNEL);

	if (!opened)
		return -ENOMEM;
	opened->node = node;
	opened->reader.session = node->start();
	if (IS_ERR(opened->reader.session)) {
		int error = PTR_ERR(opened->reader.session);

		kfree(opened);
		return error;
	}
	mutex_init(&opened->reader.lock);
	file->private_data = opened;
	return nonseekable_open(inode, file);
}

static inline int node_release(struct inode *inode, struct file *file)
{
	struct node_file *opened = file->private_data;

	opened->node->end(opened->reader.session);
	kfree(opened);
	return 0;
}

static inline ssize_t node_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	struct node_file *opened = file->private_data;

	return read_step(&opened->reader, to, size, opened->node->step);
}

static const struct file_operations node_fops = {
	.owner = THIS_MODULE,
	.open = node_open,
	.read = node_read,
	.release = node_release,
};

/* 0 or an errno; to be undone with misc_deregister(&node->misc). */
static inline int node_register(struct node *node, const char *name)
{
	node->misc = (struct miscdevice) {
		.minor = MISC_DYNAMIC_MINOR,
		.name = name,
		.fops = &node_fops,
	};
	return misc_register(&node->misc);
}

#endif /* S2EVAL_NODE_H */
