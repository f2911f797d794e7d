// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device and the file: takes the BAR that it is told, and lets /dev/wcprobe
 * run one step of a session with each read().
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include <s2eval/bar.h>
#include <s2eval/steps.h>

#include "wcprobe.h"

static char *device = "1af4:1110";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "PCI device as VVVV:DDDD (default 1af4:1110, ivshmem)");

static int bar_number = 2;
module_param_named(bar, bar_number, int, 0444);
MODULE_PARM_DESC(bar, "the BAR to probe; it is written to (default 2)");

bool audit;
module_param(audit, bool, 0444);
MODULE_PARM_DESC(audit, "ask for an audit of each mapping");

bool representative;
module_param(representative, bool, 0444);
MODULE_PARM_DESC(representative, "timings say something about hardware");

char *no_alignment;
module_param(no_alignment, charp, 0444);
MODULE_PARM_DESC(no_alignment, "skip unaligned accesses; the reason why they mean nothing here");

static struct target target;

static int wcprobe_open(struct inode *inode, struct file *file)
{
	struct reader *reader = kzalloc(sizeof(*reader), GFP_KERNEL);

	if (!reader)
		return -ENOMEM;
	reader->session = session_start(&target);
	if (IS_ERR(reader->session)) {
		int error = PTR_ERR(reader->session);

		kfree(reader);
		return error;
	}
	mutex_init(&reader->lock);
	file->private_data = reader;
	return nonseekable_open(inode, file);
}

static int wcprobe_release(struct inode *inode, struct file *file)
{
	struct reader *reader = file->private_data;

	session_end(reader->session);
	kfree(reader);
	return 0;
}

static ssize_t wcprobe_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	return read_step(file->private_data, to, size, session_step);
}

static const struct file_operations wcprobe_fops = {
	.owner = THIS_MODULE,
	.open = wcprobe_open,
	.read = wcprobe_read,
	.release = wcprobe_release,
};

static struct miscdevice wcprobe_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "wcprobe",
	.fops = &wcprobe_fops,
};

static int __init wcprobe_init(void)
{
	size_t needed = nr_mappings * window_size();
	int error;

	error = select_tests();
	if (error)
		return error;
	error = bar_open(&target.bar, device, bar_number, needed);
	if (error)
		return error;
	error = -ENOMEM;
	target.reference = ioremap(target.bar.start, needed);
	if (!target.reference)
		goto close;
	error = misc_register(&wcprobe_misc);
	if (!error)
		return 0;
	iounmap(target.reference);
close:
	bar_close(&target.bar);
	return error;
}

static void __exit wcprobe_exit(void)
{
	misc_deregister(&wcprobe_misc);
	iounmap(target.reference);
	bar_close(&target.bar);
}

module_init(wcprobe_init);
module_exit(wcprobe_exit);

MODULE_DESCRIPTION("What each mapping of a PCI BAR gives to a driver");
MODULE_LICENSE("GPL");
