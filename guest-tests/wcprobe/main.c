// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device and the file: finds the BAR that it is told, and lets /dev/wcprobe
 * run one step of a session with each read().
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

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

static struct bar bar;

/* An open /dev/wcprobe: a session, and the text of its last step. */
struct reader {
	struct mutex lock;	/* of all that follows */
	struct session *session;
	const struct report *report;
	size_t taken;
};

static int wcprobe_open(struct inode *inode, struct file *file)
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

static int wcprobe_release(struct inode *inode, struct file *file)
{
	struct reader *reader = file->private_data;

	session_end(reader->session);
	kfree(reader);
	return 0;
}

/* A short buffer gets the rest of the step's text before the next step runs. */
static ssize_t wcprobe_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	struct reader *reader = file->private_data;
	ssize_t taken;

	if (mutex_lock_interruptible(&reader->lock))
		return -ERESTARTSYS;
	if (!reader->report || reader->taken == reader->report->used) {
		reader->report = session_step(reader->session);
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

static struct pci_dev *find_device(void)
{
	unsigned int vendor, id;
	struct pci_dev *pdev;

	if (sscanf(device, "%x:%x", &vendor, &id) != 2) {
		pr_err("device=%s is not VVVV:DDDD\n", device);
		return ERR_PTR(-EINVAL);
	}
	pdev = pci_get_device(vendor, id, NULL);
	if (!pdev) {
		pr_err("no PCI device %s\n", device);
		return ERR_PTR(-ENODEV);
	}
	return pdev;
}

static int open_bar(struct pci_dev *pdev)
{
	size_t needed = nr_mappings * window_size();
	int error;

	if (bar_number < 0 || bar_number >= PCI_STD_NUM_BARS ||
	    !(pci_resource_flags(pdev, bar_number) & IORESOURCE_MEM)) {
		pr_err("%s has no memory BAR %d\n", pci_name(pdev), bar_number);
		return -ENXIO;
	}
	bar = (struct bar) {
		.pdev = pdev,
		.number = bar_number,
		.start = pci_resource_start(pdev, bar_number),
		.size = pci_resource_len(pdev, bar_number),
	};
	if (bar.size < needed) {
		pr_err("BAR %d has %#llx bytes, %#zx are needed\n", bar_number, (u64)bar.size,
		       needed);
		return -ENOSPC;
	}
	error = pci_enable_device_mem(pdev);
	if (error)
		return error;
	error = pci_request_region(pdev, bar_number, "wcprobe");
	if (error)
		goto disable;
	bar.reference = ioremap(bar.start, needed);
	if (bar.reference)
		return 0;
	error = -ENOMEM;
	pci_release_region(pdev, bar_number);
disable:
	pci_disable_device(pdev);
	return error;
}

static void close_bar(void)
{
	iounmap(bar.reference);
	pci_release_region(bar.pdev, bar.number);
	pci_disable_device(bar.pdev);
}

static int __init wcprobe_init(void)
{
	struct pci_dev *pdev;
	int error;

	error = select_tests();
	if (error)
		return error;
	pdev = find_device();
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	error = open_bar(pdev);
	if (error)
		goto put;
	error = misc_register(&wcprobe_misc);
	if (!error)
		return 0;
	close_bar();
put:
	pci_dev_put(pdev);
	return error;
}

static void __exit wcprobe_exit(void)
{
	misc_deregister(&wcprobe_misc);
	close_bar();
	pci_dev_put(bar.pdev);
}

module_init(wcprobe_init);
module_exit(wcprobe_exit);

MODULE_DESCRIPTION("What each mapping of a PCI BAR gives to a driver");
MODULE_LICENSE("GPL");
