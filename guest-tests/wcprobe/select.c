// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which tests of the set run. An entry of only= and skip= is a test
 * ("ioremap_wc.accessors.writeb"), a mapping ("ioremap_wc"), a probe ("writel",
 * "accessors.writeb") or a family of probes ("accessors").
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>

#include "wcprobe.h"

static char *only;
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "run these tests, mappings, probes or families (comma list)");

static char *skip;
module_param(skip, charp, 0444);
MODULE_PARM_DESC(skip, "leave out these tests, mappings, probes or families (comma list)");

static char *after;
module_param(after, charp, 0444);
MODULE_PARM_DESC(after, "go on after this test, the one that an earlier guest died in");

static bool is_word(const char *entry, size_t size, const char *word)
{
	return strlen(word) == size && !strncmp(entry, word, size);
}

static bool entry_names(const char *entry, size_t size, unsigned int test)
{
	const struct probe *probe = test_probe(test);
	char path[PATH_SIZE], name[PATH_SIZE];

	test_path(test, path, sizeof(path));
	probe_name(probe, name, sizeof(name));
	return is_word(entry, size, path) || is_word(entry, size, name) ||
	       is_word(entry, size, test_mapping(test)->name) ||
	       (probe->family && is_word(entry, size, probe->family));
}

static bool list_names(const char *list, unsigned int test)
{
	size_t size;

	for (; list; list = list[size] ? list + size + 1 : NULL) {
		size = strcspn(list, ",");
		if (entry_names(list, size, test))
			return true;
	}
	return false;
}

/* nr_tests() when there is no such test. */
static unsigned int find_test(const char *path)
{
	unsigned int test;
	char name[PATH_SIZE];

	for (test = 0; test < nr_tests(); test++) {
		test_path(test, name, sizeof(name));
		if (!strcmp(path, name))
			break;
	}
	return test;
}

bool test_selected(unsigned int test)
{
	const struct probe *probe = test_probe(test);

	if (probe->applies && !probe->applies(probe, test_mapping(test)))
		return false;
	if (after && test <= find_test(after))
		return false;
	if (only && !list_names(only, test))
		return false;
	return !list_names(skip, test);
}

/* Every entry must name something: a typing error would silently drop tests. */
static int check_list(const char *list)
{
	unsigned int test;
	size_t size;

	for (; list; list = list[size] ? list + size + 1 : NULL) {
		size = strcspn(list, ",");
		for (test = 0; test < nr_tests(); test++)
			if (entry_names(list, size, test))
				break;
		if (test == nr_tests()) {
			pr_err("no test, mapping, probe or family is named \"%.*s\"\n",
			       (int)size, list);
			return -EINVAL;
		}
	}
	return 0;
}

int select_tests(void)
{
	if (after && find_test(after) == nr_tests()) {
		pr_err("no test is named \"%s\"\n", after);
		return -EINVAL;
	}
	return check_list(only) ?: check_list(skip);
}
