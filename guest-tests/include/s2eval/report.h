/* SPDX-License-Identifier: GPL-2.0-only */
/* The KTAP text of a step (docs/guest-protocol.md). */
#ifndef S2EVAL_REPORT_H
#define S2EVAL_REPORT_H

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/sizes.h>
#include <linux/stdarg.h>

/* It never overflows in practice; if it does, it is cut. */
struct report {
	char text[SZ_16K];
	size_t used;
	unsigned int depth;	/* KTAP nesting */
};

/* Adds a line at the depth of the report. */
static inline __printf(3, 0) void report_va(struct report *report, const char *prefix,
					    const char *format, va_list args)
{
	char *text = report->text;
	size_t size = sizeof(report->text);

	report->used += scnprintf(text + report->used, size - report->used, "%*s%s",
				  report->depth * 2, "", prefix);
	report->used += vscnprintf(text + report->used, size - report->used, format, args);
	report->used += scnprintf(text + report->used, size - report->used, "\n");
}

static inline __printf(2, 3) void report_line(struct report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_va(report, "", format, args);
	va_end(args);
}

#endif /* S2EVAL_REPORT_H */
