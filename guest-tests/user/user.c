// SPDX-License-Identifier: GPL-2.0-only
/*
 * The BAR from user space, as DPDK and its like have it: resourceN and resourceN_wc of
 * sysfs. Usage: user VVVV:DDDD BAR
 */
#include <s2eval/user-pci.h>

#define WINDOW	65536		/* bytes of a mapping */
#define STORED	4096		/* bytes that are stored and compared */
#define LINE	64
#define COUNTED	2000		/* accesses between two looks at KVM's counters */
#define SPARE	(COUNTED / 2)	/* exits that the results port and the timer may cost */

struct kind {
	const char *name, *suffix;
	size_t offset;		/* of its window in the BAR */
	char *window, *other;	/* of the same bytes, the other through resourceN */
};

static struct pci pci;
static struct kind kinds[] = {
	{ "resource", "" },
	{ "resource_wc", "_wc", WINDOW },
};

static uint64_t seed_of(const struct kind *kind)
{
	return (uint64_t)(kind - kinds + 1) << 32;
}

/* What the page tables of both stages say of it, the harness reads meanwhile. */
static bool test_audit(struct kind *kind)
{
	char line[160], told[256];

	load64(kind->window);
	snprintf(line, sizeof(line), "  # s2eval: audit mapping=%s va=%#lx ipa=%#llx size=%#x",
		 kind->name, (unsigned long)kind->window,
		 (unsigned long long)(pci.start + kind->offset), WINDOW);
	return ask(line, "audited\n", told, sizeof(told)) || fail("nobody answered");
}

static bool holds(struct kind *kind, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size / 8; i++)
		if (load64(kind->other + 8 * i) != pattern_word(seed, i))
			return fail("the other mapping does not see what was stored");
	return true;
}

static bool test_stores(struct kind *kind)
{
	uint64_t seed = seed_of(kind);

	for (size_t i = 0; i < STORED / 8; i++)
		store64(kind->window + 8 * i, pattern_word(seed, i));
	finish_stores();
	say("  # s2eval: expect test=%s.stores offset=%#zx size=%d seed=%#llx\n", kind->name,
	    kind->offset, STORED, (unsigned long long)seed);
	return holds(kind, STORED, seed);
}

static void store_pairs(void *at)
{
	for (size_t i = 0; i < LINE / 8; i += 2)
		asm volatile("stp %0, %1, [%2]"
			     : : "r" (pattern_word(STORED, i)), "r" (pattern_word(STORED, i + 1)),
			     "r" (at + 8 * i) : "memory");
}

/* Pairs of registers, the widest store without vectors: what a copy of packets is made of. */
static bool test_store_pairs(struct kind *kind)
{
	struct kind there = { .other = kind->other + STORED };

	if (guarded(store_pairs, kind->window + STORED))
		return fail("the stores were refused: KVM cannot emulate those of two registers");
	finish_stores();
	return holds(&there, LINE, STORED);
}

/* "USER KERNEL", the exits of this guest for emulated accesses, as KVM counts them in L1. */
static long exits(void)
{
	char told[256];
	long user, kernel;

	if (!ask("  # s2eval: host action=exits", "hosted\n", told, sizeof(told)) ||
	    sscanf(told, "%ld %ld", &user, &kernel) != 2)
		return -1;
	return user + kernel;
}

static bool test_exits(struct kind *kind)
{
	long before = exits(), after;

	for (int i = 0; i < COUNTED; i++)
		load64(kind->window + 8 * (i % (STORED / 8)));
	after = exits();
	if (before < 0 || after < 0)
		return fail("KVM's counters could not be read");
	say("  # s2eval: value test=%s.exits name=per_access value=%ld.%03ld unit=exits "
	    "samples=%ld representative=1\n", kind->name, (after - before) / COUNTED,
	    (after - before) % COUNTED * 1000 / COUNTED, after - before);
	return after - before < SPARE || fail("accesses trap to the VMM: the BAR is not mapped");
}

static void unaligned_load(void *at)
{
	load64(at);
}

static void unaligned_store(void *at)
{
	store64(at, 0x0123456789abcdefULL);
}

/* Whether it has to fault is a matter of both stages, of which a program sees neither. */
static bool unaligned(struct kind *kind, const char *test, void (*access)(void *at))
{
	char *fresh = pci_map(&pci, kind->suffix, 2 * WINDOW);
	int number;

	if (!fresh)
		return fail("the BAR cannot be mapped again");
	number = guarded(access, fresh + kind->offset + 2 * STORED + 1);
	munmap(fresh, 2 * WINDOW);
	say("  # s2eval: value test=%s.%s name=outcome value=%s\n", kind->name, test,
	    outcome(number));
	return true;
}

static bool test_unaligned_load(struct kind *kind)
{
	return unaligned(kind, "unaligned_load", unaligned_load);
}

static bool test_unaligned_store(struct kind *kind)
{
	return unaligned(kind, "unaligned_store", unaligned_store);
}

static const struct kind_test {
	const char *name;
	bool (*run)(struct kind *kind);
	bool asks;		/* needs somebody who answers */
} tests[] = {
	{ "audit", test_audit, true },
	{ "stores", test_stores },
	{ "store_pairs", test_store_pairs },
	{ "exits", test_exits, true },
	{ "unaligned_load", test_unaligned_load },
	{ "unaligned_store", test_unaligned_store },
};

static bool run_kind(struct kind *kind)
{
	bool passed = true, one;

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		if (tests[i].asks && !is_answered()) {
			say("  ok %zu %s # SKIP nobody answers\n", i + 1, tests[i].name);
			continue;
		}
		say("  # s2eval: begin test=%s.%s\n", kind->name, tests[i].name);
		one = tests[i].run(kind);
		say("  %sok %zu %s\n", one ? "" : "not ", i + 1, tests[i].name);
		passed &= one;
	}
	return passed;
}

int main(int argc, char **argv)
{
	char *base;

	if (argc < 3 || !pci_find(&pci, argv[1], atoi(argv[2])))
		return 1;
	base = pci_map(&pci, "", 2 * WINDOW);
	if (!base)
		return 2;
	say("KTAP version 1\n1..%zu\n", ARRAY_SIZE(kinds));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct kind *kind = &kinds[i];
		bool passed = true;
		char *map = pci_map(&pci, kind->suffix, 2 * WINDOW);

		say("  KTAP version 1\n  # Subtest: %s\n", kind->name);
		if (map) {
			kind->window = map + kind->offset;
			kind->other = base + kind->offset;
			say("  1..%zu\n", ARRAY_SIZE(tests));
			passed = run_kind(kind);
		} else {
			say("  1..0 # SKIP not prefetchable: no %s file\n", kind->name);
		}
		say("%sok %zu %s\n", passed ? "" : "not ", i + 1, kind->name);
	}
	return 0;
}
