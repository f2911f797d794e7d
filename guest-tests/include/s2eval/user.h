/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs of a suite share: requests to the harness, and KTAP. Standard output is
 * the results port, open in both directions (docs/guest-protocol.md).
 */
#ifndef S2EVAL_USER_H
#define S2EVAL_USER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define ANSWER_SECONDS 30	/* for the harness to answer */
#define POLL_TURNS 20000	/* turns of a loop between two looks for the answer */

/* Each line leaves at once: the next access may end the guest. */
static inline void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	char line[512];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (size >= (int)sizeof(line))
		size = sizeof(line) - 1;
	for (int done = 0, got; done < size; done += got) {
		got = write(STDOUT_FILENO, line + done, size - done);
		if (got <= 0)
			exit(1);
	}
}

static inline double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static inline bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static inline bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* Whether the harness answers requests. */
static inline bool is_answered(void)
{
	char text[4096];

	return read_text("/proc/cmdline", text, sizeof(text)) && strstr(text, "s2eval.audit=1");
}

/*
 * Says the line @request and waits for @answer, out of the kernel for most of the time:
 * an audit of a program's mapping has to meet the program. What came before the answer
 * is in @told. False when no answer came.
 */
static inline bool ask(const char *request, const char *answer, char *told, size_t size)
{
	double end = seconds() + ANSWER_SECONDS;
	size_t used = 0;
	char *found;
	ssize_t got;

	say("%s\n", request);
	told[0] = '\0';
	while (seconds() < end && used < size - 1) {
		struct pollfd port = { .fd = STDOUT_FILENO, .events = POLLIN };

		for (volatile int i = 0; i < POLL_TURNS; i++)
			;
		if (poll(&port, 1, 0) <= 0 || !(port.revents & POLLIN))
			continue;
		got = read(STDOUT_FILENO, told + used, size - 1 - used);
		used += got > 0 ? got : 0;
		told[used] = '\0';
		found = strstr(told, answer);
		if (found) {
			*found = '\0';
			return true;
		}
	}
	return false;
}

/* A program's tests, each a line of KTAP at the top level. */
struct test {
	const char *name;
	bool (*run)(void);	/* whether it passed; what it returns counts not after skip() */
};

static const char *skipped;

static inline bool skip(const char *reason)
{
	skipped = reason;
	return true;
}

static inline bool __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
	char reason[256];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	say("# reason: %s\n", reason);
	return false;
}

/* What @test saw: a word. */
static inline void saw(const char *test, const char *word)
{
	say("# s2eval: value test=%s name=outcome value=%s\n", test, word);
}

/* Does what the suite's host/NAME.sh does in L1; its first line is in @told. */
static inline bool ask_host(const char *name, char *told, size_t size)
{
	char line[64];

	snprintf(line, sizeof(line), "# s2eval: host action=%s", name);
	return ask(line, "hosted\n", told, size);
}

/* Runs them all, or those behind "after=TEST": an earlier guest has died in that one. */
static inline void run_tests(const struct test *tests, size_t count, const char *after)
{
	size_t first = 0, i;
	bool passed;

	if (after && !strncmp(after, "after=", 6))
		for (i = 0; i < count; i++)
			if (!strcmp(tests[i].name, after + 6))
				first = i + 1;
	say("KTAP version 1\n1..%zu\n", count - first);
	for (i = first; i < count; i++) {
		say("# s2eval: begin test=%s\n", tests[i].name);
		skipped = NULL;
		passed = tests[i].run();
		say("%sok %zu %s%s%s\n", passed ? "" : "not ", i - first + 1, tests[i].name,
		    skipped ? " # SKIP " : "", skipped ? skipped : "");
	}
}

#endif /* S2EVAL_USER_H */
