// SPDX-License-Identifier: GPL-2.0-only
/* What a probe says of a test that is not PASS. */
#include <linux/stdarg.h>

#include "wcprobe.h"

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
