// SPDX-License-Identifier: GPL-2.0-only
/* The KTAP text of a step. */
#include <linux/kernel.h>
#include <linux/stdarg.h>

#include "wcprobe.h"

static __printf(3, 0) void report_va(struct report *report, const char *prefix,
				     const char *format, va_list args)
{
	char *text = report->text;
	size_t size = sizeof(report->text);

	report->used += scnprintf(text + report->used, size - report->used, "%*s%s",
				  report->depth * 2, "", prefix);
	report->used += vscnprintf(text + report->used, size - report->used, format, args);
	report->used += scnprintf(text + report->used, size - report->used, "\n");
}

/* Adds a line at the depth of the report. */
void report_line(struct report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_va(report, "", format, args);
	va_end(args);
}

enum verdict step_fail(struct step *step, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_va(step->report, "# reason: ", format, args);
	va_end(args);
	return FAIL;
}

enum verdict step_skip(struct step *step, const char *reason)
{
	step->skip = reason;
	return SKIP;
}
