// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of tests, of the set that was asked for:
 *
 * basic	what every driver relies on; only its last two tests may end a guest
 * figures	what it costs; nothing in it may end a guest
 * risky	what may end a guest, on the stage 2 of some kernels or on some CPUs
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <s2eval/stage1.h>

#include "wcprobe.h"

static char *set = "basic";
module_param(set, charp, 0444);
MODULE_PARM_DESC(set, "which tests there are: basic (default), figures, risky");

struct probe *probes;
unsigned int nr_probes;

static bool basic_unaligned(const struct probe *probe, const struct mapping *mapping)
{
	return mapping->basic_unaligned;
}

/* Code for ordinary memory may use what Device memory refuses, and nothing guards it. */
static bool normal_if_plain(const struct probe *probe, const struct mapping *mapping)
{
	return !probe->accessor->plain || !attr_is_device(mapping->attr);
}

/* A row with a run function and no name is as many tests as there are fitting accessors. */
struct row {
	enum set set;
	struct probe probe;
};

static const struct row rows[] = {
	{ SET_BASIC,	{ NULL, "stage1", probe_stage1 } },
	{ SET_BASIC,	{ "accessors", NULL, probe_accessor } },
	{ SET_BASIC,	{ NULL, "throughput", probe_throughput } },
	{ SET_BASIC,	{ NULL, "unaligned_load", probe_unaligned_load,
			  .applies = basic_unaligned } },
	{ SET_BASIC,	{ NULL, "unaligned_store", probe_unaligned_store,
			  .applies = basic_unaligned } },

	{ SET_FIGURES,	{ NULL, "stage1", probe_stage1 } },
	{ SET_FIGURES,	{ "throughput", NULL, probe_sizes, .applies = normal_if_plain } },
	{ SET_FIGURES,	{ NULL, "latency", probe_latency } },
	{ SET_FIGURES,	{ NULL, "instructions", probe_instructions } },
	{ SET_FIGURES,	{ NULL, "combining", probe_combining } },

	{ SET_RISKY,	{ NULL, "stage1", probe_stage1 } },
	{ SET_RISKY,	{ NULL, "exclusives", probe_exclusives } },
	{ SET_RISKY,	{ NULL, "atomics", probe_atomics } },
	{ SET_RISKY,	{ "plain", NULL, probe_accessor, .applies = normal_if_plain } },
	{ SET_RISKY,	{ NULL, "zero", probe_zero } },
	{ SET_RISKY,	{ NULL, "unaligned_loads", probe_unaligned_loads, .regions = 2 } },
	{ SET_RISKY,	{ NULL, "unaligned_stores", probe_unaligned_stores, .regions = 2 } },
};

/* These two are what a driver uses most: they stand for themselves in a path. */
static bool is_known(const struct accessor *accessor)
{
	return !strcmp(accessor->name, "writel") || !strcmp(accessor->name, "iowrite64_copy");
}

static bool accessor_fits(const struct row *row, const struct accessor *accessor)
{
	switch (row->set) {
	case SET_BASIC:
		return !accessor->plain;
	case SET_RISKY:
		return accessor->plain;
	default:
		return true;
	}
}

static void add_probe(const struct row *row, const struct accessor *accessor)
{
	struct probe *probe = &probes[nr_probes];

	*probe = row->probe;
	probe->regions = max(probe->regions, 1U);
	if (accessor) {
		probe->accessor = accessor;
		probe->name = accessor->name;
		if (row->set == SET_BASIC && is_known(accessor))
			probe->family = NULL;
	}
	if (nr_probes)
		probe->region = probe[-1].region + probe[-1].regions;
	nr_probes++;
}

static void add_row(const struct row *row)
{
	unsigned int i;

	if (row->probe.name) {
		add_probe(row, NULL);
		return;
	}
	for (i = 0; i < nr_accessors; i++)
		if (accessor_fits(row, &accessors[i]))
			add_probe(row, &accessors[i]);
}

int make_probes(void)
{
	static const char * const sets[] = { "basic", "figures", "risky" };
	int chosen = match_string(sets, ARRAY_SIZE(sets), set);
	unsigned int i;

	if (chosen < 0) {
		pr_err("set=%s is not basic, figures or risky\n", set);
		return -EINVAL;
	}
	probes = kcalloc(ARRAY_SIZE(rows) + nr_accessors, sizeof(*probes), GFP_KERNEL);
	if (!probes)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].set == chosen)
			add_row(&rows[i]);
	return 0;
}

void drop_probes(void)
{
	kfree(probes);
}

size_t window_size(void)
{
	const struct probe *last = &probes[nr_probes - 1];

	return ALIGN((last->region + last->regions) * REGION_SIZE, WINDOW_ALIGN);
}

void probe_name(const struct probe *probe, char *name, size_t size)
{
	scnprintf(name, size, "%s%s%s", probe->family ?: "", probe->family ? "." : "",
		  probe->name);
}

void test_path(unsigned int test, char *path, size_t size)
{
	char name[PATH_SIZE];

	probe_name(test_probe(test), name, sizeof(name));
	scnprintf(path, size, "%s.%s", test_mapping(test)->name, name);
}
