// SPDX-License-Identifier: GPL-2.0-only
/* The memories that /dev/vma-memory offers, each 2 MiB aligned to as much. */
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/pci.h>

#include "vma-memory.h"

#define PAGES_ORDER get_order(OFFERED)

struct memory memories[VMA_MEMORIES];

static struct page *pages;
static struct pci_dev *pci;

static void lack(enum vma_memory memory, const char *reason)
{
	memories[memory].reason = reason;
}

static void find_bar(const char *device, unsigned int bar)
{
	unsigned int vendor, id;

	if (sscanf(device, "%x:%x", &vendor, &id) != 2 || bar >= PCI_STD_NUM_BARS) {
		lack(VMA_BAR, "no device was named");
		return;
	}
	pci = pci_get_device(vendor, id, NULL);
	if (!pci || pci_resource_len(pci, bar) < OFFERED)
		lack(VMA_BAR, "there is no such BAR of 2 MiB");
	else if (pci_enable_device(pci))
		lack(VMA_BAR, "the device cannot be enabled");
	else
		memories[VMA_BAR].start = pci_resource_start(pci, bar);
}

/* Each page has a count of its own: KVM takes references to pages, not to compound ones. */
static void find_pages(void)
{
	pages = alloc_pages(GFP_KERNEL | __GFP_ZERO, PAGES_ORDER);
	if (!pages) {
		lack(VMA_PAGES, "there are no 2 MiB of pages in one piece");
		return;
	}
	split_page(pages, PAGES_ORDER);
	memories[VMA_PAGES].start = page_to_phys(pages);
}

/* What the firmware calls memory and the kernel does not map: behind the limit of mem=. */
static phys_addr_t reserved_start(resource_size_t *end)
{
	struct device_node *node = of_find_node_by_type(NULL, "memory");
	struct resource all;
	phys_addr_t start;

	if (!node || of_address_to_resource(node, 0, &all)) {
		of_node_put(node);
		return 0;
	}
	of_node_put(node);
	*end = all.end + 1;
	start = *end;
	while (start > all.start && !pfn_is_map_memory(PHYS_PFN(start - SZ_2M)))
		start -= SZ_2M;
	return start;
}

#ifdef CONFIG_ZONE_DEVICE
#define DEVICE_PAGES_SIZE SZ_128M	/* a section of sparse memory */

static struct dev_pagemap pagemap = { .type = MEMORY_DEVICE_GENERIC, .nr_range = 1 };
static bool remapped;

static void find_device_pages(phys_addr_t start, phys_addr_t end)
{
	start = ALIGN(start, DEVICE_PAGES_SIZE);
	if (start + DEVICE_PAGES_SIZE > end) {
		lack(VMA_DEVICE_PAGES, "mem= leaves no 128 MiB of memory for them");
		return;
	}
	pagemap.range.start = start;
	pagemap.range.end = start + DEVICE_PAGES_SIZE - 1;
	if (IS_ERR(memremap_pages(&pagemap, NUMA_NO_NODE))) {
		lack(VMA_DEVICE_PAGES, "memremap_pages() refuses them");
		return;
	}
	remapped = true;
	memories[VMA_DEVICE_PAGES].start = start;
}

static void drop_device_pages(void)
{
	if (remapped)
		memunmap_pages(&pagemap);
}
#else
static void find_device_pages(phys_addr_t start, phys_addr_t end)
{
	lack(VMA_DEVICE_PAGES, "the kernel has no CONFIG_ZONE_DEVICE");
}

static void drop_device_pages(void)
{
}
#endif

static void find_reserved(void)
{
	resource_size_t end = 0;
	phys_addr_t start = reserved_start(&end);

	if (end - start < OFFERED) {
		lack(VMA_RESERVED, "the kernel uses all memory: its command line needs mem=");
		lack(VMA_DEVICE_PAGES, memories[VMA_RESERVED].reason);
		return;
	}
	memories[VMA_RESERVED].start = start;
	find_device_pages(start + OFFERED, end);
}

void find_memories(const char *device, unsigned int bar)
{
	find_bar(device, bar);
	find_pages();
	find_reserved();
}

void release_memories(void)
{
	drop_device_pages();
	for (int i = 0; pages && i < 1 << PAGES_ORDER; i++)
		__free_page(pages + i);
	pci_dev_put(pci);
}
