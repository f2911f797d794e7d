/* SPDX-License-Identifier: GPL-2.0-only */
/* What is tried: every access on every mapping. Each pair is the test MEMORY.PGPROT.SIZE.ACCESS. */
#ifndef VMA_COMBINATIONS_H
#define VMA_COMBINATIONS_H

#include "owners.h"
#include "poll.h"

/* What the VMM does to the memory before the guest runs, and looks at afterwards. */
enum data { NOTHING, LOADS, STORES, RETURNS };

struct access {
	const char *name, *code;
	enum data data;
	enum stage1 stage1;
	uint32_t slot_flags;
	enum feature { NO_FEATURE, LSE, MTE } needs;	/* MTE: in the VM as well */
	enum event event;	/* what the VMM does while the guest polls */
	bool everywhere;	/* on every mapping; else on those of its memory that are `whole` */
	bool first;		/* of a mapping: the VMM's own tables are looked at, too */
};

#define ACCESS(code, data) .name = #code, guest_##code, data, S1_NC
#define AS(word, code, data, type) .name = #code "-" word, guest_##code, data, type

/* Stage 1 is Normal-NC, as a driver's that asks for write-combining, unless the name tells. */
static const struct access accesses[] = {
	{ ACCESS(load, LOADS), .everywhere = true, .first = true },
	{ ACCESS(store, STORES), .everywhere = true },
	{ ACCESS(unaligned_load, NOTHING), .everywhere = true },
	{ ACCESS(unaligned_store, NOTHING) },
	{ ACCESS(pair_load, LOADS) },
	{ ACCESS(pair_store, STORES) },
	{ ACCESS(exclusive, LOADS) },
	{ ACCESS(atomic, LOADS), .needs = LSE },
	{ ACCESS(dc_zva, NOTHING) },
	{ ACCESS(execute, RETURNS), .everywhere = true },
	{ AS("mmu_off", load, LOADS, S1_OFF) },
	{ AS("ngnrne", load, LOADS, S1_NGNRNE) },
	{ AS("ngnre", load, LOADS, S1_NGNRE) },
	{ AS("ngre", load, LOADS, S1_NGRE) },
	{ AS("gre", load, LOADS, S1_GRE) },
	{ AS("wt", load, LOADS, S1_WT) },
	{ AS("wb", load, LOADS, S1_WB) },
	{ AS("ngnre", unaligned_load, NOTHING, S1_NGNRE) },
	{ AS("wb", unaligned_load, NOTHING, S1_WB) },
	{ AS("read_only", load, LOADS, S1_NC), .slot_flags = KVM_MEM_READONLY },
	{ AS("read_only", store, STORES, S1_NC), .slot_flags = KVM_MEM_READONLY },
	{ AS("dirty_log", load, LOADS, S1_NC), .slot_flags = KVM_MEM_LOG_DIRTY_PAGES,
	  .everywhere = true },
	{ AS("dirty_log", store, STORES, S1_NC), .slot_flags = KVM_MEM_LOG_DIRTY_PAGES },
	{ AS("slot_removed", poll, LOADS, S1_NC), .event = SLOT_REMOVED },
	{ AS("replaced", poll, LOADS, S1_NC), .event = PAGE_REPLACED },
	{ AS("mte", load, LOADS, S1_NC), .needs = MTE },
	{ AS("mte", tag_store, NOTHING, S1_TAGGED), .needs = MTE },
};

static const struct size module_sizes[] = {
	{ "4k", SMALL, VMA_REMAP },
	{ "4k_fault", SMALL, VMA_FAULT },
	{ "4k_insert", SMALL, VMA_INSERT },
	{ "2m", HUGE, VMA_REMAP },
	{ "2m_fault", HUGE, VMA_HUGE_FAULT },
}, process_sizes[] = {
	{ "4k", SMALL },
	{ "2m", HUGE },
	{ "1g", GIGANTIC },
}, register_page = { "4k", PAGE };

static const char * const module_memories[] = {
	[VMA_BAR] = "bar", [VMA_PAGES] = "pages", [VMA_RESERVED] = "reserved",
	[VMA_DEVICE_PAGES] = "device_pages",
};

#define SIZE_4K	1	/* a bit for each of process_sizes */
#define SIZE_2M	2
#define SIZE_1G	4

/* What the VMM maps itself, with every access in the first of its sizes where it is `whole`. */
static const struct owner {
	const char *memory, *pgprot;
	enum process_memory kind;
	unsigned int sizes;
	bool whole;
} owners[] = {
	{ "anonymous", "cached", ANONYMOUS, SIZE_4K | SIZE_2M, true },
	{ "memfd", "cached", MEMFD, SIZE_4K | SIZE_2M, true },
	{ "guest_memfd", "cached", GUEST_MEMFD, SIZE_4K | SIZE_2M, true },
	{ "hugetlb", "cached", HUGETLB, SIZE_2M | SIZE_1G, true },
	{ "platform", "noncached", PLATFORM, SIZE_4K, false },
	{ "sysfs_bar", "device", SYSFS, SIZE_4K | SIZE_2M, false },
	{ "sysfs_bar", "writecombine", SYSFS_WC, SIZE_4K | SIZE_2M, false },
	/* The last ones, as the device then has a driver. */
	{ "vfio_bar", "noncached", VFIO, SIZE_4K | SIZE_2M, true },
	{ "vfio_bar", "writecombine", VFIO_WC, SIZE_4K | SIZE_2M, true },
	{ "iommufd_bar", "noncached", IOMMUFD, SIZE_4K | SIZE_2M, false },
};

#define WITH_PAGES (1 << VMA_PAGES | 1 << VMA_DEVICE_PAGES)
#define WITHOUT_PAGES (1 << VMA_BAR | 1 << VMA_RESERVED)
#define ALL (WITH_PAGES | WITHOUT_PAGES)

static const struct pgprot {
	const char *name;
	enum vma_pgprot protection;
	unsigned int memories;	/* a bit for each enum vma_memory that has it */
	uint32_t flags;
	bool whole;		/* tried with every access, else with those `everywhere` */
} pgprots[] = {
	{ "noncached", VMA_NONCACHED, ALL, .whole = true },
	{ "device", VMA_DEVICE, ALL },
	{ "writecombine", VMA_WRITECOMBINE, ALL },
	{ "cached", VMA_CACHED, ALL, .whole = true },
	{ "tagged", VMA_TAGGED, ALL },
	{ "noncached-any_uncached", VMA_NONCACHED, WITHOUT_PAGES, VMA_ANY_UNCACHED },
	{ "writecombine-any_uncached", VMA_WRITECOMBINE, WITHOUT_PAGES, VMA_ANY_UNCACHED },
	{ "cached-any_uncached", VMA_CACHED, WITHOUT_PAGES, VMA_ANY_UNCACHED },
};

typedef void visitor(const struct mapping *mapping, void *context);

static inline void visit_sizes(struct mapping *mapping, bool whole, visitor *visit, void *context)
{
	for (size_t i = 0; i < ARRAY_SIZE(module_sizes); i++) {
		if (module_sizes[i].how == VMA_INSERT && !(1 << mapping->kind & WITH_PAGES))
			continue;
		mapping->size = &module_sizes[i];
		mapping->whole = whole && !i;
		visit(mapping, context);
	}
}

static inline void visit_module(visitor *visit, void *context)
{
	for (int kind = 0; kind < VMA_MEMORIES; kind++)
		for (size_t i = 0; i < ARRAY_SIZE(pgprots); i++) {
			struct mapping mapping = {
				.module = true,
				.memory = module_memories[kind],
				.kind = kind,
				.pgprot = pgprots[i].name,
				.protection = pgprots[i].protection,
				.flags = pgprots[i].flags,
			};

			if (pgprots[i].memories & 1 << kind)
				visit_sizes(&mapping, pgprots[i].whole, visit, context);
		}
}

static inline void visit_process(visitor *visit, void *context)
{
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		struct mapping mapping = {
			.memory = owners[i].memory,
			.kind = owners[i].kind,
			.pgprot = owners[i].pgprot,
			.whole = owners[i].whole,
		};

		for (size_t j = 0; j < ARRAY_SIZE(process_sizes); j++) {
			if (!(owners[i].sizes & 1 << j))
				continue;
			mapping.size = owners[i].kind == PLATFORM ? &register_page :
								     &process_sizes[j];
			visit(&mapping, context);
			mapping.whole = false;
		}
	}
}

/* Calls `visit` for every mapping, in the order in which they are tried. */
static inline void visit_all(visitor *visit, void *context)
{
	visit_module(visit, context);
	visit_process(visit, context);
}

#endif /* VMA_COMBINATIONS_H */
