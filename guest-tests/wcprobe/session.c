// SPDX-License-Identifier: GPL-2.0-only
/*
 * One pass over the selected tests. A step runs one test and reports it; its last
 * line announces the test of the next step ("begin"). The reader sends a step's
 * text away before it asks for the next step, so when a test ends the guest, all
 * that was seen before it is known, and so is the test.
 */
#include <asm/sysreg.h>
#include <linux/err.h>
#include <linux/slab.h>

#include <s2eval/stage1.h>

#include "wcprobe.h"

struct session {
	const struct target *target;
	struct report report;
	bool started;
	unsigned int test;		/* the next one; nr_tests() at the end */
	/* The mapping of the tests that run: */
	const struct mapping *mapping;	/* NULL before the first one */
	void __iomem *window;
	void __iomem *left;		/* of the mapping before, until the next step */
	const struct mapping *left_by;
	unsigned int mapping_number;	/* in KTAP, from 1 */
	unsigned int test_number;
	bool failed;			/* one of its tests */
};

static unsigned int next_test(unsigned int test)
{
	while (test < nr_tests() && !test_selected(test))
		test++;
	return test;
}

static unsigned int count_tests(unsigned int mapping)
{
	unsigned int probe, count = 0;

	for (probe = 0; probe < nr_probes; probe++)
		count += test_selected(mapping * nr_probes + probe);
	return count;
}

static unsigned int count_mappings(void)
{
	unsigned int mapping, count = 0;

	for (mapping = 0; mapping < nr_mappings; mapping++)
		count += count_tests(mapping) > 0;
	return count;
}

static void report_head(struct session *session)
{
	report_line(&session->report, "KTAP version 1");
	report_device(&session->report, &session->target->bar);
	report_line(&session->report, "1..%u", count_mappings());
}

/* The line of a mapping comes after those of its tests. */
static void leave_mapping(struct session *session)
{
	session->report.depth = 0;
	report_line(&session->report, "%sok %u %s", session->failed ? "not " : "",
		    session->mapping_number, session->mapping->name);
	session->left = session->window;
	session->left_by = session->mapping;
	session->window = NULL;
	session->mapping = NULL;
}

/* Not in the step that ends the mapping: an audit may have been asked for in it. */
static void unmap_left(struct session *session)
{
	if (session->left)
		session->left_by->unmap(&session->target->bar, session->left);
	session->left = NULL;
}

static void enter_mapping(struct session *session, unsigned int index)
{
	session->mapping = &mappings[index];
	session->mapping_number++;
	session->test_number = 0;
	session->failed = false;
	session->report.depth = 1;
	report_line(&session->report, "KTAP version 1");
	report_line(&session->report, "# Subtest: %s", session->mapping->name);
	report_line(&session->report, "1..%u", count_tests(index));
}

static void make_mapping(struct session *session, const struct step *step)
{
	u64 mair = read_sysreg(mair_el1);

	session->window = step->mapping->map(step->bar, step->window_start - step->bar->start,
					     step->window_size);
	if (!session->window)
		return;
	report_line(&session->report,
		    "# s2eval: mapping name=%s va=%#lx ipa=%#llx size=%#zx par=%#llx mair=%#llx",
		    step->mapping->name, (unsigned long)session->window, (u64)step->window_start,
		    step->window_size, read_par(session->window), mair);
}

/* Chooses what comes after the step that just ran, and announces it. */
static void announce(struct session *session)
{
	const struct mapping *next = NULL;
	char path[PATH_SIZE];

	if (session->test < nr_tests())
		next = test_mapping(session->test);
	if (session->mapping && session->mapping != next)
		leave_mapping(session);
	if (!next)
		return;
	if (!session->mapping)
		enter_mapping(session, session->test / nr_probes);
	test_path(session->test, path, sizeof(path));
	report_line(&session->report, "# s2eval: begin test=%s", path);
}

static enum verdict run_probe(struct session *session, struct step *step)
{
	const struct probe *probe = test_probe(session->test);
	size_t region = probe->region * REGION_SIZE;

	if (!session->window)
		make_mapping(session, step);
	if (!session->window)
		return step_fail(step, "%s returns NULL", step->mapping->name);
	step->window = session->window;
	step->io = step->window + region;
	step->offset = step->window_start - step->bar->start + region;
	step->reference = session->target->reference + step->offset;
	/* Patterns of two tests share no word. */
	step->seed = (u64)(session->test + 1) << 32;
	step->accessor = probe->accessor;
	return probe->run(step);
}

static void run_test(struct session *session)
{
	struct step step = {
		.mapping = session->mapping,
		.bar = &session->target->bar,
		.report = &session->report,
		.window_start = session->target->bar.start +
				session->test / nr_probes * window_size(),
		.window_size = window_size(),
	};
	enum verdict verdict;
	char name[PATH_SIZE];

	probe_name(test_probe(session->test), name, sizeof(name));
	test_path(session->test, step.path, sizeof(step.path));
	verdict = run_probe(session, &step);
	session->failed |= verdict == FAIL;
	session->test_number++;
	report_line(&session->report, "%sok %u %s%s%s", verdict == FAIL ? "not " : "",
		    session->test_number, name, verdict == SKIP ? " # SKIP " : "",
		    verdict == SKIP ? step.skip : "");
}

const struct report *session_step(void *of)
{
	struct session *session = of;

	report_begin(&session->report);
	unmap_left(session);
	if (!session->started) {
		session->started = true;
		report_head(session);
		session->test = next_test(0);
		announce(session);
	} else if (session->test < nr_tests()) {
		run_test(session);
		session->test = next_test(session->test + 1);
		announce(session);
	}
	return &session->report;
}

struct session *session_start(const struct target *target)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return ERR_PTR(-ENOMEM);
	session->target = target;
	return session;
}

void session_end(void *of)
{
	struct session *session = of;

	unmap_left(session);
	if (session->window)
		session->mapping->unmap(&session->target->bar, session->window);
	kfree(session);
}
