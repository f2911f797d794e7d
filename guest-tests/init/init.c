// SPDX-License-Identifier: GPL-2.0-only
/*
 * init of a small test guest: runs the lines of /suite, writes what they report
 * to the virtio port "s2eval.results", then powers off.
 *
 * docs/guest-protocol.md describes what is written and in which order. Each line
 * of /suite runs in a child, so that a kernel oops or a crash in one of them is
 * reported, the rest still runs, and the guest still powers off.
 */
#include <s2eval/init.h>

#include <stdarg.h>
#include <sys/klog.h>
#include <sys/syscall.h>

#define __noreturn __attribute__((noreturn))
#define __printf(...) __attribute__((format(printf, __VA_ARGS__)))

#define QUEUE_SIZE 128		/* entries of a port's virtqueue in QEMU */
#define AUDIT_WAIT_MS 12000	/* for the answer to an audit request */
#define HOST_WAIT_MS 30000	/* for the host to have done what it was asked to */
#define END_WAIT_MS 10000	/* for the harness to have taken everything */
#define PORT_WAIT_MS 2000	/* for a port to be announced by the VMM */
#define LEAKS "/sys/kernel/debug/kmemleak"
#define LEAK_AGE_S 6		/* kmemleak tells of what is older than 5 s */
#define CHUNK_SIZE (64 * 1024)	/* more than one step of a probe reports */
#define MAX_ARGS 32

static char chunk[CHUNK_SIZE + 1];
static int console = -1;
static int results = -1;	/* the port, or the console when there is none */

static void __printf(2, 3) say(int fd, const char *format, ...)
{
	char line[512];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (size >= (int)sizeof(line)) {
		size = sizeof(line) - 1;
		line[size - 1] = '\n';
	}
	if (size > 0)
		write_all(fd, line, size);
}

/* `command` is a value of a key=value line: no spaces, nothing unprintable. */
static void say_error(const char *command, const char *what)
{
	char name[128];
	size_t i;

	for (i = 0; command[i] && i < sizeof(name) - 1; i++)
		name[i] = command[i] > ' ' && command[i] < 0x7f ? command[i] : '?';
	name[i] = '\0';
	say(results, "# s2eval: error command=%s errno=%s\n", name, what);
	if (results != console)
		say(console, "s2eval: %s failed: %s\n", name, what);
}

/* Whether somebody answers requests. */
static bool is_answered(void)
{
	const char *value = cmdline_value("s2eval.audit");

	return value && !strcmp(value, "1");
}

/* What a step may ask for with a line "# s2eval: NAME ...", and the answer to it. */
static const struct request {
	const char *name, *line, *answer;
	long wait_ms;
	/*
	 * Spins instead of sleeping: the harness stops the vCPU at a moment when it
	 * runs this guest, which it would not if the vCPU sat in WFI.
	 */
	bool spins;
} requests[] = {
	{ "audit", "# s2eval: audit ", "audited\n", AUDIT_WAIT_MS, true },
	{ "host", "# s2eval: host ", "hosted\n", HOST_WAIT_MS, false },
};

static const struct request *request_in(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (strstr(text, requests[i].line) && is_answered())
			return &requests[i];
	return NULL;
}

/*
 * Reads from the port into `line` (appending at *used) what is there, without
 * sleeping. False when there is nothing, or no host.
 */
static bool read_port(char *line, size_t size, size_t *used)
{
	struct pollfd readable = { .fd = results, .events = POLLIN };
	ssize_t got;

	if (poll(&readable, 1, 0) <= 0 || !(readable.revents & POLLIN))
		return false;
	if (*used >= size - 1)
		*used = 0;
	got = read(results, line + *used, size - 1 - *used);
	if (got <= 0)
		return false;
	*used += got;
	line[*used] = '\0';
	return true;
}

/* An answer that came too late for the request before must not count for the next. */
static void forget_answers(void)
{
	char line[256];
	size_t used = 0;

	while (read_port(line, sizeof(line), &used))
		used = 0;
}

static bool wait_answer(const struct request *request)
{
	long end = now_ms() + request->wait_ms;
	char line[256];
	size_t used = 0;

	while (now_ms() < end) {
		if (read_port(line, sizeof(line), &used) && strstr(line, request->answer))
			return true;
		if (!request->spins)
			sleep_ms();
	}
	return false;
}

/*
 * Waits until the host has taken all that was written before. The harness says so.
 * Without it nobody does; but the entries of the queue are taken in order, so when all
 * of them have been used for something else, it has. What is written are empty lines.
 */
static void drain(void)
{
	static const struct request end = { "end", "", "ended\n", END_WAIT_MS, false };

	if (is_answered() && wait_answer(&end))
		return;
	for (int i = 0; i < QUEUE_SIZE; i++)
		if (!write_all(results, "\n", 1))
			return;
}

/* The commands of /suite. Each returns 0 or a negative errno. */

static int run_insmod(char *args)
{
	char *file = strsep(&args, " ");
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return syscall(SYS_finit_module, fd, args ? args : "", 0) ? -errno : 0;
}

static int run_stream(char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	const struct request *request;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, chunk, CHUNK_SIZE)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		chunk[got] = '\0';
		request = request_in(chunk);
		if (request)
			forget_answers();
		if (!write_all(results, chunk, got))
			return -EPIPE;
		if (request && !wait_answer(request))
			say_error(request->name, "ETIMEDOUT");
	}
	return 0;
}

/* A program on the console. */
static int run_shell(char *args)
{
	char *argv[MAX_ARGS + 1];
	int argc = 0;

	while (argc < MAX_ARGS && (argv[argc] = strsep(&args, " ")))
		argc++;
	if (args)
		return -E2BIG;
	argv[argc] = NULL;
	execv(argv[0], argv);
	return -errno;
}

/* A program that reports. */
static int run_exec(char *args)
{
	if (dup2(results, STDOUT_FILENO) < 0)
		return -errno;
	return run_shell(args);
}

static int run_command(const char *name, char *args)
{
	static const struct { const char *name; int (*run)(char *args); } commands[] = {
		{ "insmod", run_insmod },
		{ "stream", run_stream },
		{ "exec", run_exec },
		{ "shell", run_shell },
	};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			return args && *args ? commands[i].run(args) : -EINVAL;
	return -EINVAL;
}

/*
 * Puts "after=TEST" in the place of the word "@resume", the test being the one that
 * an earlier guest died in; nothing in the first guest. `text` has room for `size`.
 */
static void expand_resume(char *text, size_t size)
{
	const char *test = cmdline_value("s2eval.after");
	char *mark = strstr(text, "@resume"), rest[1024];

	if (!mark)
		return;
	snprintf(rest, sizeof(rest), "%s", mark + strlen("@resume"));
	snprintf(mark, size - (mark - text), "%s%s%s", test ? "after=" : "", test ? test : "",
		 rest);
}

/* In the child. Exit status 0 says that a failure has been reported already. */
static void __noreturn run_child(char *line, const char *label)
{
	const char *name = strsep(&line, " ");
	int error = run_command(name, line);
	const char *word = strerrorname_np(-error);

	if (error)
		say_error(label, word ? word : "?");
	_exit(0);
}

static void run_line(char *line)
{
	char label[128], what[32], text[4096];
	size_t word, words;
	pid_t child;
	int status;

	/* The command and its file name the line in an error: "insmod:wcprobe.ko". */
	word = strcspn(line, " ");
	words = line[word] ? word + 1 + strcspn(line + word + 1, " ") : word;
	snprintf(label, sizeof(label), "%.*s", (int)words, line);
	if (word < words && word < sizeof(label) - 1)
		label[word] = ':';

	snprintf(text, sizeof(text), "%s", line);
	expand_resume(text, sizeof(text));
	child = fork();
	if (child == 0)
		run_child(text, label);
	if (child < 0) {
		say_error(label, strerrorname_np(errno));
		return;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!strncmp(line, "exec ", 5))	/* a program need not end its last line */
		write_all(results, "\n", 1);
	if (WIFSIGNALED(status))
		snprintf(what, sizeof(what), "signal-%d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		snprintf(what, sizeof(what), "exit-%d", WEXITSTATUS(status));
	else
		return;
	say_error(label, what);
}

static void run_suite(void)
{
	static char suite[CHUNK_SIZE];
	char *line, *rest = suite;

	if (!read_file("/suite", suite, sizeof(suite))) {
		say_error("/suite", "ENOENT");
		return;
	}
	while ((line = strsep(&rest, "\n"))) {
		line += strspn(line, " \t\r");
		for (size_t n = strlen(line); n && strchr(" \t\r", line[n - 1]); n--)
			line[n - 1] = '\0';
		if (*line && *line != '#')
			run_line(line);
	}
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/*
 * Has kmemleak, where the kernel has it, write what was lost to the kernel log. It tells of an
 * object that two scans find without a reference, and unchanged; what is left of one on a stack
 * goes meanwhile.
 */
static void look_for_leaks(void)
{
	if (access(LEAKS, W_OK))
		return;
	write_file("/sys/module/kmemleak/parameters/verbose", "1");
	sleep(LEAK_AGE_S);
	write_file(LEAKS, "scan");
	write_file(LEAKS, "scan");
}

/* The guest boots with `quiet`; what the kernel said all the same goes here. */
static void write_kernel_log(void)
{
	int port = open_port("s2eval.kmsg");
	int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
	char *log = port < 0 || size <= 0 ? NULL : malloc(size);

	if (log) {
		size = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, size);
		if (size > 0)
			write_all(port, log, size);
	}
}

int main(void)
{
	bool first = getpid() == 1;

	if (!first && access("/suite", R_OK)) {
		fputs("init: to be run as the first process of a test guest, or in its root\n", stderr);
		return 1;
	}
	mount_all();
	console = first ? use_console() : STDOUT_FILENO;
	if (chdir("/"))
		say(console, "s2eval: no /\n");
	results = wait_port("s2eval.results", PORT_WAIT_MS);
	if (results < 0) {
		say(console, "s2eval: no virtio port s2eval.results, results go to the console\n");
		results = console;
	}
	run_suite();
	if (results != console)
		forget_answers();
	say(results, "# s2eval: end\n");
	if (results != console)
		drain();
	if (!first)
		return 0;
	look_for_leaks();
	write_kernel_log();
	power_off();
}
