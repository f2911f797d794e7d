// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs one of the kernel's selftests and tells in KTAP how it ended, as the
 * kernel's own runner does (tools/testing/selftests/kselftest/runner.sh).
 *
 * Usage: selftest plan COUNT
 *        selftest NUMBER NAME SECONDS [after=TEST] [ARGUMENT...]
 *        selftest NUMBER NAME - WORD...	it did not build, and why
 *
 * The program is /selftests/NAME. It has a process group of its own, which is
 * killed after SECONDS. With after=TEST nothing runs up to and with TEST, in
 * which an earlier host died.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef FOLDER
#define FOLDER "/selftests"
#define BEHIND "/tmp/behind"	/* is there once TEST has been passed */
#endif
#define EXIT_SKIP 4		/* KSFT_SKIP */
#define LINE_SIZE 1024
#define KEPT 24
#define ASSERTION "Test Assertion Failure"	/* lib/assert.c; the next line is it */

static char lines[KEPT][LINE_SIZE];	/* the last ones that the test printed */
static unsigned int told;		/* lines in all */
static unsigned int below;		/* result lines of tests below the test */
static const char *number, *name;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

/* Whether the test was run by an earlier host, or killed it. */
static bool is_behind(const char *after)
{
	if (!*after || !access(BEHIND, F_OK))
		return false;
	if (!strcmp(name, after))
		close(open(BEHIND, O_CREAT | O_WRONLY, 0600));
	return true;
}

/* `argv` has room for the path: a selftest loads itself from argv[0] as its guest. */
static pid_t start(char **argv, int *output)
{
	static char path[256];
	int ends[2];
	pid_t child;

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	argv[0] = path;
	if (pipe(ends))
		return -1;
	child = fork();
	if (child == 0) {
		setpgid(0, 0);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execv(path, argv);
		dprintf(STDERR_FILENO, "%s: %s\n", path, strerror(errno));
		_exit(127);
	}
	close(ends[1]);
	*output = ends[0];
	return child;
}

/* A result line of a test below, numbered anew: each part of a test may begin with 1. */
static bool tell_below(const char *line, const char *word)
{
	const char *rest = line + strlen(word);

	if (strncmp(line, word, strlen(word)))
		return false;
	rest += strspn(rest, "0123456789");
	printf("# %s%u%s\n", word, ++below, rest);
	fflush(stdout);
	return true;
}

/*
 * All that the test prints is the suite's other output. Among the results are the
 * result lines of tests below it, and at its end the last lines if it failed.
 */
static void tell(const char *line)
{
	size_t size = strcspn(line, "\r");

	if (!size)
		return;
	fprintf(stderr, "%.*s\n", (int)size, line);
	if (tell_below(line, "ok ") || tell_below(line, "not ok "))
		return;
	/* Some print a plan for each of their parts, where KTAP knows one. */
	if ((!strncmp(line, "1..", 3) && !strstr(line, "SKIP")) || !strncmp(line, "TAP ", 4))
		return;
	snprintf(lines[told++ % KEPT], LINE_SIZE, "%.*s", (int)size, line);
}

static const char *line_before_the_end(unsigned int count)
{
	return count <= told && count <= KEPT ? lines[(told - count) % KEPT] : "";
}

/* The line that says why: what was asserted, or the last one. */
static const char *reason(void)
{
	for (unsigned int count = KEPT; count > 1; count--)
		if (strstr(line_before_the_end(count), ASSERTION))
			return line_before_the_end(count - 1);
	return line_before_the_end(1);
}

static void take(const char *data, size_t size)
{
	static char line[LINE_SIZE];
	static size_t used;

	for (size_t i = 0; i < size; i++) {
		if (data[i] != '\n' && used < sizeof(line) - 1) {
			line[used++] = data[i] ? data[i] : '?';
			continue;
		}
		line[used] = '\0';
		tell(line);
		used = 0;
	}
	if (!size && used) {
		line[used] = '\0';
		tell(line);
	}
}

/* Reads what the test prints until it closes its output; false when it is too late. */
static bool follow(int output, double end)
{
	struct pollfd poll_output = { .fd = output, .events = POLLIN };
	char data[4096];
	ssize_t size;

	while (now() < end) {
		if (poll(&poll_output, 1, 1000 * (end - now()) + 1) <= 0)
			continue;
		size = read(output, data, sizeof(data));
		if (size <= 0) {
			take(NULL, 0);
			return true;
		}
		take(data, size);
	}
	take(NULL, 0);
	return false;
}

static void tell_last_lines(void)
{
	for (unsigned int count = KEPT; count; count--)
		if (*line_before_the_end(count))
			printf("# %s\n", line_before_the_end(count));
}

static void report(bool in_time, int status, double seconds, long limit)
{
	const char *why = reason() + strspn(reason(), " #"), *skip = strstr(why, "SKIP");

	if (below)
		printf("# 1..%u\n", below);
	if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
		printf("ok %s %s # SKIP %s\n", number, name,
		       skip ? skip + strspn(skip, "SKIP -") : why);
	} else if (in_time && WIFEXITED(status) && !WEXITSTATUS(status)) {
		printf("ok %s %s # time=%.3fs\n", number, name, seconds);
	} else {
		tell_last_lines();
		printf("not ok %s %s # ", number, name);
		if (!in_time)
			printf("TIMEOUT %ld seconds: %s\n", limit, why);
		else if (WIFSIGNALED(status))
			printf("signal %d: %s, time=%.3fs\n", WTERMSIG(status), why, seconds);
		else
			printf("exit %d: %s, time=%.3fs\n", WEXITSTATUS(status), why, seconds);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int status = 0, output, first = 4;
	const char *after = "";
	bool in_time;
	double began;
	pid_t child;
	long limit;

	if (argc == 3 && !strcmp(argv[1], "plan")) {
		printf("KTAP version 1\n1..%s\n", argv[2]);
		return 0;
	}
	if (argc < 4) {
		fprintf(stderr, "usage: selftest NUMBER NAME SECONDS [after=TEST] [ARGUMENT...]\n");
		return 2;
	}
	number = argv[1];
	name = argv[2];
	if (!strcmp(argv[3], "-")) {
		printf("not ok %s %s # does not build:", number, name);
		for (int i = 4; i < argc; i++)
			printf(" %s", argv[i]);
		printf("\n");
		return 0;
	}
	limit = atol(argv[3]);
	/* Empty where no host died: @resume stands for nothing then. */
	if (argc > 4 && (!*argv[4] || !strncmp(argv[4], "after=", 6))) {
		after = *argv[4] ? argv[4] + 6 : "";
		first = 5;
	}
	if (is_behind(after))
		return 0;
	printf("# s2eval: begin test=%s\n", name);
	fflush(stdout);
	began = now();
	child = start(argv + first - 1, &output);
	if (child < 0)
		return 1;
	in_time = follow(output, began + limit);
	if (!in_time)
		kill(-child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	kill(-child, SIGKILL); /* what it has left */
	report(in_time, status, now() - began, limit);
	return 0;
}
