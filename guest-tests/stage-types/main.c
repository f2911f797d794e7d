// SPDX-License-Identifier: GPL-2.0-only
/* The device and the file: /dev/stage-types runs one step of a session with each read(). */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include <s2eval/bar.h>
#include <s2eval/node.h>

#include "stage-types.h"

BAR_PARAMETERS("1af4:1110", "ivshmem", "the BAR to map; it is written to");

static struct bar bar;

static void *types_start(void)
{
	return session_start(&bar);
}

static struct node node = {
	.start = types_start,
	.step = session_step,
	.end = session_end,
};

static int __init types_init(void)
{
	int error = bar_open(&bar, device, bar_number, nr_types * WINDOW_SIZE);

	if (error)
		return error;
	error = add_types();
	if (error)
		goto close;
	error = node_register(&node, "stage-types");
	if (!error)
		return 0;
	drop_types();
close:
	bar_close(&bar);
	return error;
}

static void __exit types_exit(void)
{
	misc_deregister(&node.misc);
	drop_types();
	bar_close(&bar);
}

module_init(types_init);
module_exit(types_exit);

MODULE_DESCRIPTION("Mappings of a PCI BAR with every stage-1 memory type");
MODULE_LICENSE("GPL");
