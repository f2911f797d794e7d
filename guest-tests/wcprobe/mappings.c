// SPDX-License-Identifier: GPL-2.0-only
/* The mappings under test. */
#include <linux/kernel.h>
#include <linux/pci.h>

#include "wcprobe.h"

/* ioremap() and its kin are macros or inline functions. */
#define MAP_WITH(api)								\
static void __iomem *map_##api(const struct bar *bar, size_t offset, size_t size)	\
{										\
	return api(bar->start + offset, size);					\
}

MAP_WITH(ioremap)
MAP_WITH(ioremap_np)
MAP_WITH(ioremap_wc)
MAP_WITH(ioremap_cache)

static void unmap_io(const struct bar *bar, void __iomem *io)
{
	iounmap(io);
}

static void __iomem *map_pci_iomap_wc(const struct bar *bar, size_t offset, size_t size)
{
	return pci_iomap_wc_range(bar->pdev, bar->number, offset, size);
}

static void unmap_pci(const struct bar *bar, void __iomem *io)
{
	pci_iounmap(bar->pdev, io);
}

static void __iomem *map_memremap_wc(const struct bar *bar, size_t offset, size_t size)
{
	return (void __iomem *)memremap(bar->start + offset, size, MEMREMAP_WC);
}

static void unmap_memremap(const struct bar *bar, void __iomem *io)
{
	memunmap((void __force *)io);
}

/*
 * ioremap_wc is last: in SET_BASIC its unaligned accesses are what may end the guest.
 * pci_iomap_wc and memremap_wc would end it the same way, and ioremap_cache as well.
 */
const struct mapping mappings[] = {
	{ "ioremap",		0x04, true,	map_ioremap,		unmap_io },
	{ "ioremap_np",		0x00, true,	map_ioremap_np,		unmap_io },
	{ "pci_iomap_wc",	0x44, false,	map_pci_iomap_wc,	unmap_pci },
	{ "memremap_wc",	0x44, false,	map_memremap_wc,	unmap_memremap },
	{ "ioremap_cache",	0xff, false,	map_ioremap_cache,	unmap_io },
	{ "ioremap_wc",		0x44, true,	map_ioremap_wc,		unmap_io },
};

const unsigned int nr_mappings = ARRAY_SIZE(mappings);
