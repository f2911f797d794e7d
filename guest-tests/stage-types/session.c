// SPDX-License-Identifier: GPL-2.0-only
/*
 * One pass: first every type is mapped, touched and put up for an audit, a step each,
 * because nothing of that can end the guest; then each type is tested. A step's last
 * line announces the test of the next one ("begin"), so when a test ends the guest,
 * all that was seen before it is known, and so is the test.
 */
#include <asm/sysreg.h>
#include <linux/err.h>
#include <linux/slab.h>

#include <s2eval/access.h>
#include <s2eval/pattern.h>
#include <s2eval/stage1.h>

#include "stage-types.h"

struct session {
	const struct bar *bar;
	struct report report;
	bool started;
	unsigned int mapped;	/* so many types are */
	unsigned int test;	/* the next one */
	bool failed;		/* a test of the type at hand */
	void __iomem *windows[];
};

struct step {
	struct report *report;
	const struct type *type;
	phys_addr_t start;
	void __iomem *window;
	char path[64];
};

struct test {
	const char *name;
	bool (*run)(struct step *step);		/* whether it passed */
};

#define fail(step, format, ...)							\
({										\
	report_line((step)->report, "# reason: " format, ##__VA_ARGS__);	\
	false;									\
})

/* AT S1E1R gives the type that was asked for. */
static bool test_stage1(struct step *step)
{
	u64 par = read_par(step->window);
	u8 attr = par_attr(par);

	if (par_fault(par))
		return fail(step, "AT S1E1R of the mapping faults, PAR_EL1 is %#llx", par);
	report_line(step->report, "# s2eval: value test=%s name=type value=%s", step->path,
		    attr_name(attr));
	if (attr != step->type->attr)
		return fail(step, "stage 1 is %s (%#04x) instead of %#04x", attr_name(attr), attr,
			    step->type->attr);
	return true;
}

/*
 * The first touch of a mapping of its own: some emulators check the alignment only
 * when an access fills the TLB. Whether it has to fault is a matter of both stages, of
 * which the guest sees one: only the bytes are judged here.
 */
static bool test_unaligned_load(struct step *step)
{
	u64 seed = (u64)(step->type - types + 1) << 32;
	u64 low = pattern_word(seed, 0), high = pattern_word(seed, 1);
	u64 want = low >> 8 | high << 56, got;
	void __iomem *fresh;
	int error;

	writeq(low, step->window);
	writeq(high, step->window + 8);
	finish_stores();
	fresh = map_type(step->type, step->start, PAGE_SIZE);
	if (!fresh)
		return fail(step, "the BAR cannot be mapped");
	error = guarded_load64(fresh + 1, &got);
	iounmap(fresh);
	report_line(step->report, "# s2eval: value test=%s name=outcome value=%s", step->path,
		    error ? "faults" : "works");
	if (!error && got != want)
		return fail(step, "the bytes are %#llx instead of %#llx", got, want);
	return true;
}

static const struct test tests[] = {
	{ "stage1",		test_stage1 },
	{ "unaligned_load",	test_unaligned_load },
};

static void report_head(struct session *session)
{
	report_line(&session->report, "KTAP version 1");
	report_device(&session->report, session->bar);
	report_line(&session->report, "1..%u", nr_types);
}

/* The touch is a load: what a stage-2 leaf is before the first store is of interest, too. */
static void map_next(struct session *session)
{
	const struct type *type = &types[session->mapped];
	phys_addr_t start = session->bar->start + session->mapped * WINDOW_SIZE;
	void __iomem *window = map_type(type, start, WINDOW_SIZE);

	session->windows[session->mapped++] = window;
	if (!window)
		return;
	report_line(&session->report,
		    "# s2eval: mapping name=%s va=%#lx ipa=%#llx size=%#x par=%#llx mair=%#llx",
		    type->name, (unsigned long)window, (u64)start, WINDOW_SIZE, read_par(window),
		    read_sysreg(mair_el1));
	readl(window);
	report_line(&session->report, "# s2eval: audit mapping=%s va=%#lx ipa=%#llx size=%#x",
		    type->name, (unsigned long)window, (u64)start, WINDOW_SIZE);
}

static unsigned int nr_tests(void)
{
	return nr_types * ARRAY_SIZE(tests);
}

/* Opens and closes the subtest of a type, and says which test comes next. */
static void announce(struct session *session)
{
	const struct type *type = &types[session->test / ARRAY_SIZE(tests)];
	struct report *report = &session->report;

	if (session->test % ARRAY_SIZE(tests) == 0) {
		if (session->test) {
			report->depth = 0;
			report_line(report, "%sok %zu %s", session->failed ? "not " : "",
				    session->test / ARRAY_SIZE(tests), type[-1].name);
		}
		if (session->test == nr_tests())
			return;
		session->failed = false;
		report->depth = 1;
		report_line(report, "KTAP version 1");
		report_line(report, "# Subtest: %s", type->name);
		report_line(report, "1..%zu", ARRAY_SIZE(tests));
	}
	report_line(report, "# s2eval: begin test=%s.%s", type->name,
		    tests[session->test % ARRAY_SIZE(tests)].name);
}

static void run_test(struct session *session)
{
	const struct test *test = &tests[session->test % ARRAY_SIZE(tests)];
	unsigned int number = session->test / ARRAY_SIZE(tests);
	struct step step = {
		.report = &session->report,
		.type = &types[number],
		.start = session->bar->start + number * WINDOW_SIZE,
		.window = session->windows[number],
	};
	bool passed;

	scnprintf(step.path, sizeof(step.path), "%s.%s", step.type->name, test->name);
	passed = step.window ? test->run(&step) : fail(&step, "the BAR cannot be mapped");
	session->failed |= !passed;
	report_line(&session->report, "%sok %zu %s", passed ? "" : "not ",
		    session->test % ARRAY_SIZE(tests) + 1, test->name);
}

const struct report *session_step(void *of)
{
	struct session *session = of;

	report_begin(&session->report);
	if (!session->started) {
		session->started = true;
		report_head(session);
	} else if (session->mapped < nr_types) {
		map_next(session);
		if (session->mapped == nr_types)
			announce(session);
	} else if (session->test < nr_tests()) {
		run_test(session);
		session->test++;
		announce(session);
	}
	return &session->report;
}

struct session *session_start(const struct bar *bar)
{
	struct session *session;

	session = kzalloc(struct_size(session, windows, nr_types), GFP_KERNEL);
	if (!session)
		return ERR_PTR(-ENOMEM);
	session->bar = bar;
	return session;
}

void session_end(void *of)
{
	struct session *session = of;
	unsigned int i;

	for (i = 0; i < session->mapped; i++)
		if (session->windows[i])
			iounmap(session->windows[i]);
	kfree(session);
}
