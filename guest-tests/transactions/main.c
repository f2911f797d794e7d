// SPDX-License-Identifier: GPL-2.0-only
/* The device and the file: /dev/transactions runs one step of a session with each read(). */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include <s2eval/bar.h>
#include <s2eval/node.h>

#include "transactions.h"

BAR_PARAMETERS("1b36:0010", "QEMU's NVMe", "the BAR to map; it is written to");

static struct bar bar;

static void *transactions_start(void)
{
	return session_start(&bar);
}

static struct node node = {
	.start = transactions_start,
	.step = session_step,
	.end = session_end,
};

static int __init transactions_init(void)
{
	int error = bar_open(&bar, device, bar_number, session_size());

	if (error)
		return error;
	error = node_register(&node, "transactions");
	if (error)
		bar_close(&bar);
	return error;
}

static void __exit transactions_exit(void)
{
	misc_deregister(&node.misc);
	bar_close(&bar);
}

module_init(transactions_init);
module_exit(transactions_exit);

MODULE_DESCRIPTION("What of each accessor to a PCI BAR reaches the device");
MODULE_LICENSE("GPL");
