// SPDX-License-Identifier: GPL-2.0-only
/* What a probe says of a test, and the mappings of its own that it makes. */
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

void step_word(struct step *step, const char *name, const char *word)
{
	report_line(step->report, "# s2eval: value test=%s name=%s value=%s", step->path, name,
		    word);
}

void step_seen(struct step *step, const char *name, const char *word)
{
	report_line(step->report, "# s2eval: seen test=%s name=%s value=%s", step->path, name,
		    word);
}

void __iomem *step_map(struct step *step, size_t size)
{
	return step->mapping->map(step->bar, step->offset, size);
}

void step_unmap(struct step *step, void __iomem *io)
{
	step->mapping->unmap(step->bar, io);
}
