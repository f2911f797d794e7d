// SPDX-License-Identifier: GPL-2.0-only
/*
 * A few facts of any Linux guest, told as kselftest tells them ("# " before what a test's own
 * process printed) and as kunit does (two spaces). Usage: cases [fail] [status]
 *
 * `fail`: one check looks for what cannot be; `status`: a test ends with an error although each
 * of its checks holds.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))
#define SKIPPED	(-1)

struct check {
	const char *name;
	int (*holds)(void);	/* 1, 0 or SKIPPED */
	const char *otherwise;	/* why it is skipped, or what is wrong */
};

static bool fail, status;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

static int page_is_zero(void)
{
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 0;
	for (long i = 0; i < size; i++)
		if (page[i])
			return 0;
	return !munmap(page, size) && !fail;
}

static int child_shares(void)
{
	int *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	if (shared == MAP_FAILED)
		return 0;
	child = fork();
	if (!child) {
		*shared = 42;
		_exit(0);
	}
	return child > 0 && waitpid(child, NULL, 0) == child && *shared == 42;
}

static int clock_goes_on(void)
{
	double before = now();

	usleep(2000);
	return now() > before;
}

static int kvm_opens(void)
{
	return access("/dev/kvm", R_OK | W_OK) ? SKIPPED : 1;
}

static const struct check memory[] = {
	{ "page_is_zero", page_is_zero, "a fresh page is not zero" },
	{ "child_shares", child_shares, "a child's store does not arrive" },
};

static const struct check system_checks[] = {
	{ "clock_goes_on", clock_goes_on, "CLOCK_MONOTONIC stands still" },
	{ "kvm_opens", kvm_opens, "no /dev/kvm" },
};

static bool run(const char *nesting, const struct check *checks, size_t count)
{
	bool all = true;

	printf("%sTAP version 13\n%s1..%zu\n", nesting, nesting, count);
	for (size_t i = 0; i < count; i++) {
		double began = now();
		int held = checks[i].holds();

		if (!held)
			printf("%s# %s\n", nesting, checks[i].otherwise);
		printf("%s%s %zu %s", nesting, held ? "ok" : "not ok", i + 1, checks[i].name);
		if (held == SKIPPED)
			printf(" # SKIP %s\n", checks[i].otherwise);
		else
			printf(" # time=%.6fs\n", now() - began);
		all &= held != 0;
	}
	return all;
}

int main(int argc, char **argv)
{
	bool good;

	for (int i = 1; i < argc; i++) {
		fail |= !strcmp(argv[i], "fail");
		status |= !strcmp(argv[i], "status");
	}
	printf("KTAP version 1\n1..2\n");
	good = run("# ", memory, ARRAY_SIZE(memory));
	printf("%s 1 memory\n", good ? "ok" : "not ok");
	good = run("  ", system_checks, ARRAY_SIZE(system_checks)) && !status;
	printf("%s 2 system%s\n", good ? "ok" : "not ok", status ? " # exit=1" : "");
	return 0;
}
