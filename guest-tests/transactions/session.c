// SPDX-License-Identifier: GPL-2.0-only
/*
 * One pass: each mapping, each accessor, a step each. The guest judges what it can read
 * back through another mapping; what the device saw, the harness judges from QEMU's trace
 * and the "trace" line.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <s2eval/access.h>
#include <s2eval/pattern.h>

#include "transactions.h"

#define MARKER		0x53340000	/* and the number of the test */
#define MARKER_END	0x00010000

struct mapping {
	const char *name;
	void __iomem *(*map)(phys_addr_t start, size_t size);
};

/* ioremap() and its like are macros in some kernels. */
static void __iomem *map_ioremap(phys_addr_t start, size_t size)
{
	return ioremap(start, size);
}

static void __iomem *map_ioremap_np(phys_addr_t start, size_t size)
{
	return ioremap_np(start, size);
}

static void __iomem *map_ioremap_wc(phys_addr_t start, size_t size)
{
	return ioremap_wc(start, size);
}

static const struct mapping mappings[] = {
	{ "ioremap",	map_ioremap },
	{ "ioremap_np",	map_ioremap_np },
	{ "ioremap_wc",	map_ioremap_wc },
};

#define NR_MAPPINGS	ARRAY_SIZE(mappings)

/*
 * A device whose BAR is no memory but registers: the one at @at takes what a test writes,
 * widths from @narrowest to @widest, and the one at @mark a marker.
 */
static const struct registers {
	u16 vendor, device;
	unsigned int mark, at, narrowest, widest;
} devices[] = {
	{ 0x1234, 0x11e8, 0x04, 0x80, 4, 8 },	/* edu: liveness, DMA source address */
};

struct session {
	const struct bar *bar;
	const struct registers *registers;	/* NULL: the BAR is memory */
	struct report report;
	bool started, failed;
	unsigned int test;		/* the next one */
	void __iomem *reference;	/* all that is used of the BAR, by ioremap() */
	void __iomem *window;		/* of the mapping at hand */
};

size_t session_size(void)
{
	return (NR_MAPPINGS + 1) * WINDOW_SIZE;
}

static size_t window_offset(unsigned int mapping)
{
	return (mapping + 1) * WINDOW_SIZE;
}

static unsigned int mark_offset(const struct session *session)
{
	return session->registers ? session->registers->mark : 0;
}

static void mark(struct session *session, u32 marker)
{
	finish_stores();
	writel(marker, session->reference + mark_offset(session));
	finish_stores();
}

static const struct registers *find_registers(const struct pci_dev *pdev)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].vendor == pdev->vendor && devices[i].device == pdev->device)
			return &devices[i];
	return NULL;
}

/* Where in the BAR a test does its accesses. */
static size_t test_offset(const struct session *session, unsigned int mapping, unsigned int number)
{
	if (session->registers)
		return session->registers->at;
	return window_offset(mapping) + number * REGION_SIZE;
}

static size_t map_offset(const struct session *session, unsigned int mapping)
{
	return session->registers ? 0 : window_offset(mapping);
}

static bool refused(const struct session *session, const struct accessor *accessor)
{
	const struct registers *registers = session->registers;

	return registers && (accessor->size < registers->narrowest ||
			     accessor->size > registers->widest);
}

static void fill(void *data, const struct accessor *accessor, u64 seed)
{
	u64 *words = data;
	unsigned int i;

	memset(data, 0, MAX_SIZE);
	for (i = 0; !accessor->plain && i < MAX_SIZE / 8; i++)
		words[i] = pattern_word(seed, i);
}

/* Whether both sides hold the same afterwards, seen through a mapping of its own. */
static bool run_accessor(struct session *session, const struct accessor *accessor, size_t offset,
			 u64 seed)
{
	u32 marker = MARKER + session->test;
	void __iomem *there = session->reference + offset;
	void __iomem *io = session->window + offset % WINDOW_SIZE;
	u64 data[MAX_SIZE / 8], other[MAX_SIZE / 8];

	fill(data, accessor, seed);
	memset(other, 0, sizeof(other));
	if (accessor->reads) {
		memcpy_toio(there, data, ALIGN(accessor->size, 8));
		mark(session, marker);
		accessor->run(io, other);
		mark(session, marker | MARKER_END);
	} else {
		mark(session, marker);
		accessor->run(io, data);
		mark(session, marker | MARKER_END);
		memcpy_fromio(other, there, ALIGN(accessor->size, 8));
	}
	/* Nothing came late; what the next test stores is not meant. */
	mark(session, marker | MARKER_END);
	return !memcmp(data, other, accessor->size);
}

/* The last line of a step: what the next one dies in, if it does. */
static void announce(struct session *session)
{
	unsigned int mapping = session->test / nr_accessors;

	if (mapping < NR_MAPPINGS)
		report_line(&session->report, "# s2eval: begin test=%s.%s", mappings[mapping].name,
			    accessors[session->test % nr_accessors].name);
}

static void run_test(struct session *session)
{
	unsigned int number = session->test % nr_accessors, mapping = session->test / nr_accessors;
	const struct accessor *accessor = &accessors[number];
	size_t offset = test_offset(session, mapping, number);
	u64 seed = ((u64)session->test + 1) << 32;
	struct report *report = &session->report;
	char optional[64] = "";
	size_t used = 0;
	bool passed;

	if (refused(session, accessor)) {
		report_line(report, "ok %u %s # SKIP the device refuses that width", number + 1,
			    accessor->name);
		return;
	}
	if (!accessor->plain)
		used = scnprintf(optional, sizeof(optional), " seed=%#llx", seed);
	if (accessor->last)
		scnprintf(optional + used, sizeof(optional) - used, " last=%#zx",
			  offset + accessor->last);
	report_line(report,
		    "# s2eval: trace test=%s.%s marker=%#x at=%#x kind=%s offset=%#zx size=%u "
		    "most=%u%s",
		    mappings[mapping].name, accessor->name, MARKER + session->test,
		    mark_offset(session), accessor->reads ? "read" : "write", offset, accessor->size, accessor->most,
		    optional);
	passed = run_accessor(session, accessor, offset, seed);
	session->failed |= !passed;
	if (!passed)
		report_line(report, "# reason: what was moved is not what is there");
	report_line(report, "%sok %u %s", passed ? "" : "not ", number + 1, accessor->name);
}

static void open_mapping(struct session *session)
{
	unsigned int mapping = session->test / nr_accessors;
	struct report *report = &session->report;

	session->failed = false;
	session->window = mappings[mapping].map(session->bar->start + map_offset(session, mapping),
						WINDOW_SIZE);
	report->depth = 1;
	report_line(report, "KTAP version 1");
	report_line(report, "# Subtest: %s", mappings[mapping].name);
	if (session->window) {
		report_line(report, "1..%u", nr_accessors);
		return;
	}
	report_line(report, "1..0 # SKIP the kernel has no such mapping");
	session->test += nr_accessors;
}

static void close_mapping(struct session *session)
{
	unsigned int mapping = session->test / nr_accessors;

	if (session->window)
		iounmap(session->window);
	session->window = NULL;
	session->report.depth = 0;
	report_line(&session->report, "%sok %u %s", session->failed ? "not " : "", mapping,
		    mappings[mapping - 1].name);
}

const struct report *session_step(void *of)
{
	struct session *session = of;
	struct report *report = &session->report;

	report_begin(report);
	if (!session->started) {
		session->started = true;
		report_line(report, "KTAP version 1");
		report_device(report, session->bar);
		report_line(report, "1..%zu", NR_MAPPINGS);
		announce(session);
	} else if (session->test < NR_MAPPINGS * nr_accessors) {
		if (!session->window)
			open_mapping(session);
		if (session->window) {
			run_test(session);
			session->test++;
		}
		if (session->test % nr_accessors == 0)
			close_mapping(session);
		announce(session);
	}
	return report;
}

void *session_start(const struct bar *bar)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return ERR_PTR(-ENOMEM);
	session->bar = bar;
	session->registers = find_registers(bar->pdev);
	session->reference = ioremap(bar->start, session_size());
	if (session->reference)
		return session;
	kfree(session);
	return ERR_PTR(-ENOMEM);
}

void session_end(void *of)
{
	struct session *session = of;

	if (session->window)
		iounmap(session->window);
	iounmap(session->reference);
	kfree(session);
}
