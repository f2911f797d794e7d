// SPDX-License-Identifier: GPL-2.0-only
/* The device and the file: /dev/stage-types runs one step of a session with each read(). */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include <s2eval/bar.h>
#include <s2eval/steps.h>

#include "stage-types.h"

static char *device = "1af4:1110";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "PCI device as VVVV:DDDD (default 1af4:1110, ivshmem)");

static int bar_number = 2;
module_param_named(bar, bar_number, int, 0444);
MODULE_PARM_DESC(bar, "the BAR to map; it is written to (default 2)");

static struct bar bar;

static int types_open(struct inode *inode, struct file *file)
{
	struct reader *reader = kzalloc(sizeof(*reader), GFP_KERNEL);

	if (!reader)
		return -ENOMEM;
	reader->session = session_start(&bar);
	if (IS_ERR(reader->session)) {
		int error = PTR_ERR(reader->session);

		kfree(reader);
		return error;
	}
	mutex_init(&reader->lock);
	file->private_data = reader;
	return nonseekable_open(inode, file);
}

static int types_release(struct inode *inode, struct file *file)
{
	struct reader *reader = file->private_data;

	session_end(reader->session);
	kfree(reader);
	return 0;
}

static ssize_t types_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	return read_step(file->private_data, to, size, session_step);
}

static const struct file_operations types_fops = {
	.owner = THIS_MODULE,
	.open = types_open,
	.read = types_read,
	.release = types_release,
};

static struct miscdevice types_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "stage-types",
	.fops = &types_fops,
};

static int __init types_init(void)
{
	int error = bar_open(&bar, device, bar_number, nr_types * WINDOW_SIZE);

	if (error)
		return error;
	error = add_types();
	if (error)
		goto close;
	error = misc_register(&types_misc);
	if (!error)
		return 0;
	drop_types();
close:
	bar_close(&bar);
	return error;
}

static void __exit types_exit(void)
{
	misc_deregister(&types_misc);
	drop_types();
	bar_close(&bar);
}

module_init(types_init);
module_exit(types_exit);

MODULE_DESCRIPTION("Mappings of a PCI BAR with every stage-1 memory type");
MODULE_LICENSE("GPL");
