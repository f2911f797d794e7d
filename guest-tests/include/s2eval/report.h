/* SPDX-License-Identifier: GPL-2.0-only */
/* The KTAP text of a step (docs/guest-protocol.md). */
#ifndef S2EVAL_REPORT_H
#define S2EVAL_REPORT_H

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/sizes.h>
#include <linux/stdarg.h>
#include <linux/types.h>

/*
 * The text of one step. A line that does not fit is left out with all after it, and the last
 * line says so, for which there is always room: the harness makes an ERROR of it.
 */
#define REPORT_FULL "# s2eval: error command=report errno=EMSGSIZE\n"

struct report {
	char text[SZ_16K];
	size_t used;
	unsigned int depth;	/* KTAP nesting */
	bool full;
};

static inline void report_begin(struct report *report)
{
	report->used = 0;
	report->full = false;
}

/* Adds a line at the depth of the report. */
static inline __printf(3, 0) void report_va(struct report *report, const char *prefix,
					    const char *format, va_list args)
{
	size_t size = sizeof(report->text) - sizeof(REPORT_FULL), begin = report->used;
	char *text = report->text;

	if (report->full)
		return;
	report->used += scnprintf(text + report->used, size - report->used, "%*s%s",
				  report->depth * 2, "", prefix);
	report->used += vscnprintf(text + report->used, size - report->used, format, args);
	if (report->used + 1 < size) {
		text[report->used++] = '\n';
		return;
	}
	report->full = true;
	report->used = begin + scnprintf(text + begin, sizeof(report->text) - begin, REPORT_FULL);
}

static inline __printf(2, 3) void report_line(struct report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_va(report, "", format, args);
	va_end(args);
}

#endif /* S2EVAL_REPORT_H */
