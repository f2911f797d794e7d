// SPDX-License-Identifier: GPL-2.0-only
/*
 * init of L1, the host under test: runs the shell commands that come from the virtio
 * port "s2eval.agent", one at a time. A line is "ID COMMAND", the answer "ID STATUS .OUT .ERR",
 * all but the first two in hexadecimal: nothing in them can be taken for the end of a line.
 * The command "<PATH" reads a file, which costs no process: STATUS is 0, or the errno that says why
 * it could not be read, in ERR in words; "unmount" lets go of the shared folder
 * until the next shell command, "wake" sets the timers of a machine that was saved going.
 *
 * Words on the kernel command line ask for something else: s2eval.shell for a shell on the
 * console, s2eval.autorun for /share/autorun.
 */
#include <s2eval/init.h>

#include <sched.h>

#define AGENT "s2eval.agent"
#define PREFIX "s2eval."	/* of the ports that the harness knows */
#define PORT_WAIT_MS 2000
#define OUT "/run/out"
#define ERR "/run/err"
#define UNMOUNT "unmount"
#define WAKE "wake"

static int agent = -1;
static bool shared;	/* /share is mounted */

static void mount_9p(const char *tag, const char *where, unsigned long flags, const char *options)
{
	char all[128];

	snprintf(all, sizeof(all), "trans=virtio,version=9p2000.L,cache=mmap%s", options);
	mount(tag, where, "9p", flags, all);
}

static void mount_shares(void)
{
	/* Without a cache, 6.12 and 7.2 now and then never come back from a read of 8 MB. */
	mount_9p("share", "/share", MS_RDONLY, ",msize=512000");
	shared = true;
	/* A folder of the user's (s2eval boot --share). */
	if (!access("/share/host", F_OK))
		mount_9p("host", "/host", 0, "");
}

/* Runs shell `code`, with its output in files unless `kept` is false; its exit status. */
static int run_shell(const char *code, bool kept)
{
	char *argv[] = { "sh", "-c", (char *)code, NULL };
	int status = 0;
	pid_t child = fork(), gone;

	if (child == 0) {
		if (kept) {
			dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
			dup2(open(OUT, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
			dup2(open(ERR, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
		}
		execvp(argv[0], argv);
		_exit(127);
	}
	/* Orphans of earlier commands end here, too. */
	do
		gone = wait(&status);
	while (gone != child && (gone >= 0 || errno == EINTR));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A machine with a mounted 9p folder cannot be saved. */
static int unmount_share(void)
{
	if (umount2("/share", 0))
		return errno;
	shared = false;
	return 0;
}

/* Links /run/ports/NAME to each port s2eval.NAME that there is. */
static void link_ports(void)
{
	char node[300], name[64], path[96];
	DIR *ports = opendir(PORTS);

	while (next_port(ports, node, sizeof(node), name, sizeof(name))) {
		if (strncmp(name, PREFIX, strlen(PREFIX)))
			continue;
		snprintf(path, sizeof(path), "/run/ports/%s", name + strlen(PREFIX));
		if (symlink(node, path) && errno != EEXIST)
			fprintf(stderr, "s2eval: %s: %s\n", path, strerrorname_np(errno));
	}
	if (ports)
		closedir(ports);
}

static void say(const char *text)
{
	write_all(agent, text, strlen(text));
}

static void say_hex(const unsigned char *data, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char hex[4096];
	size_t used = 0;

	for (size_t i = 0; i < size; i++) {
		hex[used++] = digits[data[i] >> 4];
		hex[used++] = digits[data[i] & 15];
		if (used == sizeof(hex) || i + 1 == size) {
			write_all(agent, hex, used);
			used = 0;
		}
	}
}

/* Reads all of `path` into `data`, to be freed; 0, or the errno that says why not. */
static int load_file(const char *path, unsigned char **data, size_t *size)
{
	size_t room = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = errno;

	*data = NULL;
	*size = 0;
	if (fd < 0)
		return error;
	do {
		if (*size == room) {
			room = room ? 2 * room : 4096;
			*data = realloc(*data, room);
			if (!*data)
				abort();
		}
		got = read(fd, *data + *size, room - *size);
		error = errno;
		if (got > 0)
			*size += got;
	} while (got > 0 || (got < 0 && error == EINTR));
	close(fd);
	return got < 0 ? error : 0;
}

/* The contents of `path`; nothing when there is no such file. */
static void say_file(const char *path)
{
	unsigned char *data;
	size_t size;

	if (!load_file(path, &data, &size))
		say_hex(data, size);
	free(data);
}

/* Answers the question `id` for what is in `path`; the status is 0, or errno. */
static void answer_file(const char *id, const char *path)
{
	unsigned char *data;
	char status[16];
	size_t size;
	int error = load_file(path, &data, &size);
	const char *words = error ? strerror(error) : "";

	snprintf(status, sizeof(status), " %d .", error);
	say(id);
	say(status);
	if (!error)
		say_hex(data, size);
	say(" .");
	say_hex((const unsigned char *)words, strlen(words));
	say("\n");
	free(data);
}

/* Turns hexadecimal into text, in place; false when it is none. */
static bool from_hex(char *text)
{
	char *made = text, pair[3] = "", *end;

	for (; text[0] && text[1]; text += 2) {
		memcpy(pair, text, 2);
		*made++ = (char)strtoul(pair, &end, 16);
		if (*end)
			return false;
	}
	*made = '\0';
	return !*text;
}

/*
 * QEMU saves the physical and the virtual timer of a CPU, but not EL2's own, by which a host with
 * VHE lives: its ticks would never come again. A timer that is over when it is set makes the
 * kernel look for others, and set the next one.
 */
static int wake_cpus(void)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all))
		return errno;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			return errno;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
				&(struct timespec){ .tv_nsec = 1 }, NULL);
	}
	return sched_setaffinity(0, sizeof(all), &all) ? errno : 0;
}

/* Does what `code` says; the exit status. What a shell says is in OUT and ERR. */
static int run_code(const char *code)
{
	unlink(OUT);
	unlink(ERR);
	if (!strcmp(code, UNMOUNT))
		return unmount_share();
	if (!strcmp(code, WAKE))
		return wake_cpus();
	if (!shared)
		mount_shares();
	return run_shell(code, true);
}

/* Answers the question `id` for a command. */
static void answer_code(const char *id, const char *code)
{
	char status[16];

	snprintf(status, sizeof(status), " %d .", run_code(code));
	say(id);
	say(status);
	say_file(OUT);
	say(" .");
	say_file(ERR);
	say("\n");
}

/* Commands as they come, until nobody can send any. */
static void serve(void)
{
	FILE *commands = fdopen(agent, "r");
	char *line = NULL, *id, *code;
	size_t size = 0;

	say("ready\n");
	while (commands && getline(&line, &size, commands) > 0) {
		code = line;
		code[strcspn(code, "\n")] = '\0';
		id = strsep(&code, " ");
		if (!code || !from_hex(code))
			continue;
		if (*code == '<')
			answer_file(id, code + 1);
		else
			answer_code(id, code);
	}
}

int main(void)
{
	if (getpid() != 1) {
		fputs("l1: to be run as the first process of a host under test\n", stderr);
		return 1;
	}
	setenv("PATH", "/s2eval/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/tmp", 1);
	mount_all();
	use_console();
	mount_shares();
	if (cmdline_value("s2eval.shell")) {
		run_shell("cat /share/motd 2> /dev/null; exec setsid cttyhack sh", false);
		power_off();
	}
	if (cmdline_value("s2eval.autorun")) {
		run_shell("sh /share/autorun", false);
		power_off();
	}
	agent = wait_port(AGENT, PORT_WAIT_MS);
	if (agent < 0) {
		fputs("s2eval: no port " AGENT "\n", stderr);
		power_off();
	}
	mkdir("/run/ports", 0755);
	link_ports();	/* the agent's is the last that QEMU was told of: all are there */
	serve();
	power_off();
}
