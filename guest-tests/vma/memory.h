/* SPDX-License-Identifier: GPL-2.0-only */
/* What /dev/vma-memory is asked for before it is mapped; read by the module and the VMM. */
#ifndef VMA_MEMORY_H
#define VMA_MEMORY_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VMA_NODE "vma-memory"	/* below /dev */

enum vma_memory {
	VMA_BAR,		/* of the device under test */
	VMA_PAGES,		/* ordinary pages of the kernel */
	VMA_RESERVED,		/* RAM that the kernel was told to leave alone (mem=): no struct page */
	VMA_DEVICE_PAGES,	/* the same with struct pages of memremap_pages() */
	VMA_MEMORIES
};

enum vma_pgprot {
	VMA_NONCACHED,		/* pgprot_noncached() */
	VMA_DEVICE,		/* pgprot_device() */
	VMA_WRITECOMBINE,	/* pgprot_writecombine() */
	VMA_CACHED,		/* as mmap() has it */
	VMA_TAGGED,		/* pgprot_tagged() */
	VMA_PGPROTS
};

enum vma_how {
	VMA_REMAP,		/* remap_pfn_range() in mmap: VM_PFNMAP */
	VMA_FAULT,		/* vmf_insert_pfn() at the fault: VM_PFNMAP */
	VMA_HUGE_FAULT,		/* vmf_insert_pfn_pmd() at the fault: VM_PFNMAP */
	VMA_INSERT,		/* vm_insert_page() in mmap: VM_MIXEDMAP, needs struct pages */
	VMA_HOWS
};

#define VMA_ANY_UNCACHED (1 << 0)	/* VM_ALLOW_ANY_UNCACHED */

struct vma_offer {
	__u32 memory, pgprot, how, flags;
	char reason[96];	/* filled in with EOPNOTSUPP: why the kernel cannot offer it */
};

/* Chooses what the next mmap() of this file maps. */
#define VMA_OFFER _IOWR('v', 1, struct vma_offer)

#endif /* VMA_MEMORY_H */
