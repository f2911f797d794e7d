// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMM that gives a guest of a few instructions one memslot after the other: every access on
 * every mapping (combinations.h). It runs on the host itself and reports each combination as a
 * test MEMORY.PGPROT.SIZE.ACCESS (README.md).
 * Usage: vma [device=VVVV:DDDD bar=N] [only=PATTERN] [after=TEST]
 *
 * A vCPU and its VM are a process of their own, one for each test: one that dies or hangs is
 * named, and the rest goes on.
 */
#define _GNU_SOURCE
#include <s2eval/user.h>

#include <fnmatch.h>

#include "test.h"

/* KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED, since 6.17; it is asked of a VM. */
#define CAP_CACHEABLE_PFNMAP 243

static bool is_chosen(const char *test)
{
	return !host.only || !fnmatch(host.only, test, 0);
}

/* Whether the test is to be run: an earlier host may have died in one. */
static bool is_due(const char *test)
{
	bool due = !host.after;

	if (!is_chosen(test))
		return false;
	if (!due && !strcmp(host.after, test))
		host.after = NULL;
	return due;
}

/* The name of a test: with "any" for all accesses of a mapping. */
static const char *name_of(const struct mapping *mapping, const char *access)
{
	static char test[NAME_SIZE];

	snprintf(test, sizeof(test), "%s.%s.%s.%s", mapping->memory, mapping->pgprot,
		 mapping->size->name, access);
	return test;
}

static void run_access(const struct mapping *mapping, const struct access *access)
{
	const char *test = name_of(mapping, access->name);

	if (!is_due(test))
		return;
	report_log(false);
	say("# s2eval: begin test=%s\n", test);
	run_test(test, mapping, access);
	report_log(true);
	report(test, *host.broken ? " # ERROR " : "", host.broken);
}

/*
 * Why the kernel cannot offer a mapping; NULL when it can. Found out by a process of its own: if
 * that does not survive, each test will tell.
 */
static const char *lacking(const struct mapping *mapping)
{
	char *reason = host.account->reason;
	int status;
	pid_t child;

	reason[0] = '\0';
	child = fork();
	if (child < 0)
		return NULL;
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		map_memory(mapping, reason, sizeof(host.account->reason));
		_exit(0);
	}
	if (!has_ended(child, &status, PATIENCE_MS))
		end_child(child, &status);
	return *reason ? reason : NULL;
}

static bool is_tried(const struct mapping *mapping, const struct access *access)
{
	if (mapping->size->bytes == GIGANTIC && !access->first)
		return false;	/* each process clears the page anew */
	if (access->event == PAGE_REPLACED && (mapping->module || mapping->kind != ANONYMOUS))
		return false;	/* only of private memory is a page another one afterwards */
	return (access->everywhere || mapping->whole) && !missing(access->needs) &&
	       is_chosen(name_of(mapping, access->name));
}

/* Whether a test of a mapping is chosen, so that it matters whether it can be had. */
static bool is_wanted(const struct mapping *mapping)
{
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		if (is_tried(mapping, &accesses[i]))
			return true;
	return is_chosen(name_of(mapping, "any"));
}

static void count_mapping(const struct mapping *mapping, void *context)
{
	unsigned int *count = context;

	if (!is_wanted(mapping))
		return;
	if (lacking(mapping)) {
		*count += is_chosen(name_of(mapping, "any"));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		*count += is_tried(mapping, &accesses[i]);
}

static void run_mapping(const struct mapping *mapping, void *context)
{
	const char *reason, *all;

	(void)context;
	if (!is_wanted(mapping))
		return;
	reason = lacking(mapping);
	all = name_of(mapping, "any");
	if (reason) {
		if (is_due(all))
			report_skip(all, reason);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		if (is_tried(mapping, &accesses[i]))
			run_access(mapping, &accesses[i]);
}

/* What no mapping can be tried with on this machine, once; the number of them. */
static unsigned int report_missing(bool count_only)
{
	unsigned int count = 0;
	char test[NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		const char *reason = missing(accesses[i].needs);

		snprintf(test, sizeof(test), "any.any.any.%s", accesses[i].name);
		if (!reason || !is_chosen(test))
			continue;
		count++;
		if (!count_only && is_due(test))
			report_skip(test, reason);
	}
	return count;
}

/* What follows "NAME=" in one of the arguments; NULL without it. */
static const char *option(int argc, char **argv, const char *name)
{
	size_t size = strlen(name);

	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], name, size) && argv[i][size] == '=')
			return argv[i] + size + 1;
	return NULL;
}

/* What KVM says of itself: it is to fit what becomes of cacheable mappings. */
static void report_capabilities(void)
{
	int vm = ioctl(host.kvm, KVM_CREATE_VM, 0);
	int cacheable = vm < 0 ? -1 : ioctl(vm, KVM_CHECK_EXTENSION, CAP_CACHEABLE_PFNMAP);

	say("# s2eval: seen test=kvm name=cacheable_pfnmap value=%s\n",
	    cacheable > 0 ? "supported" : "none");
	if (vm >= 0)
		close(vm);
}

int main(int argc, char **argv)
{
	const char *device, *bar;
	unsigned int count;
	bool resumed;

	host.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	host.log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	host.answered = is_answered();
	host.after = option(argc, argv, "after");
	resumed = host.after;
	host.only = option(argc, argv, "only");
	device = option(argc, argv, "device");
	bar = option(argc, argv, "bar");
	if (host.kvm < 0) {
		say("KTAP version 1\n1..0 # SKIP /dev/kvm: %s\n", strerror(errno));
		return 0;
	}
	host.account = mmap(NULL, sizeof(*host.account), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (host.account == MAP_FAILED || host.log < 0)
		return 1;
	if (!device || !bar || !pci_find(&tested_pci, device, atoi(bar)))
		tested_pci.bdf[0] = '\0';
	count = report_missing(true);
	visit_all(count_mapping, &count);
	say("KTAP version 1\n");
	if (!resumed) {
		say("1..%u\n", count);
		report_capabilities();
	}
	report_missing(false);
	visit_all(run_mapping, NULL);
	if (resumed)
		say("1..%u\n", host.number);
	return 0;
}
