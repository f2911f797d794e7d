// SPDX-License-Identifier: GPL-2.0-only
/* The mappings under test. */
#include <linux/kernel.h>

#include "wcprobe.h"

/* ioremap() and its kin are macros or inline functions. */
#define MAP_WITH(api)							\
static void __iomem *map_##api(phys_addr_t start, size_t size)		\
{									\
	return api(start, size);					\
}

MAP_WITH(ioremap)
MAP_WITH(ioremap_np)
MAP_WITH(ioremap_wc)

/* ioremap_wc is last: its unaligned accesses are what may end the guest. */
const struct mapping mappings[] = {
	{ "ioremap",	0x04, map_ioremap },
	{ "ioremap_np",	0x00, map_ioremap_np },
	{ "ioremap_wc",	0x44, map_ioremap_wc },
};

const unsigned int nr_mappings = ARRAY_SIZE(mappings);
