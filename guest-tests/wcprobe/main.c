// SPDX-License-Identifier: GPL-2.0-only
/* Takes the BAR that it is told, and puts up /dev/wcprobe. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>

#include <s2eval/bar.h>
#include <s2eval/node.h>

#include "wcprobe.h"

BAR_PARAMETERS("1af4:1110", "ivshmem", "the BAR to probe; it is written to");

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

static void *wcprobe_start(void)
{
	return session_start(&target);
}

static struct node node = {
	.start = wcprobe_start,
	.step = session_step,
	.end = session_end,
};

static int open_target(void)
{
	size_t needed = nr_mappings * window_size();
	int error = bar_open(&target.bar, device, bar_number, needed);

	if (error)
		return error;
	target.reference = ioremap(target.bar.start, needed);
	if (target.reference)
		return 0;
	bar_close(&target.bar);
	return -ENOMEM;
}

static void close_target(void)
{
	iounmap(target.reference);
	bar_close(&target.bar);
}

static int __init wcprobe_init(void)
{
	int error = make_probes();

	if (error)
		return error;
	error = select_tests();
	if (error)
		goto drop;
	error = open_target();
	if (error)
		goto drop;
	error = node_register(&node, "wcprobe");
	if (!error)
		return 0;
	close_target();
drop:
	drop_probes();
	return error;
}

static void __exit wcprobe_exit(void)
{
	misc_deregister(&node.misc);
	close_target();
	drop_probes();
}

module_init(wcprobe_init);
module_exit(wcprobe_exit);

MODULE_DESCRIPTION("What each mapping of a PCI BAR gives to a driver");
MODULE_LICENSE("GPL");
