/* SPDX-License-Identifier: GPL-2.0-only */
/* What the first processes of guests share: mounts, virtio ports, the end. */
#ifndef S2EVAL_INIT_H
#define S2EVAL_INIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define PORTS "/sys/class/virtio-ports"
#define PORTS_DRIVER "/sys/bus/virtio/drivers/virtio_console"
#define WRITE_WAIT_MS 30000	/* for the host to take what was written: it may be busy */

static inline size_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0 ? got : 0;
}

static inline long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void sleep_ms(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/*
 * Waits until a write would not block. A port whose other end nobody has opened
 * is POLLHUP at once, and a write to it would sleep without end.
 */
static inline bool wait_writable(int fd)
{
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	long end = now_ms() + WRITE_WAIT_MS;

	do {
		if (poll(&writable, 1, WRITE_WAIT_MS) > 0 && writable.revents & POLLOUT)
			return true;
		sleep_ms();
	} while (now_ms() < end);
	return false;
}

/* Writes everything, or gives up when the host stops taking it. */
static inline bool write_all(int fd, const char *text, size_t size)
{
	ssize_t written;

	while (fd >= 0 && size) {
		if (!wait_writable(fd))
			return false;
		written = write(fd, text, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		text += written;
		size -= written;
	}
	return size == 0;
}

/* The next port that the VMM has named: its device node and its name; false after the last. */
static inline bool next_port(DIR *ports, char *node, size_t node_size, char *name, size_t size)
{
	struct dirent *entry;
	char path[300];

	while (ports && (entry = readdir(ports))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), PORTS "/%s/name", entry->d_name);
		read_file(path, name, size);
		name[strcspn(name, "\n")] = '\0';
		if ((size_t)snprintf(node, node_size, "/dev/%s", entry->d_name) < node_size)
			return true;
	}
	return false;
}

/* The port that the VMM named `name`, opened; -1 without one. */
static inline int open_port(const char *name)
{
	char node[300], found[64];
	DIR *ports = opendir(PORTS);
	int fd = -1;

	while (fd < 0 && next_port(ports, node, sizeof(node), found, sizeof(found)))
		if (!strcmp(found, name))
			fd = open(node, O_RDWR | O_CLOEXEC);
	if (ports)
		closedir(ports);
	return fd;
}

/* Tells which ports there are. */
static inline void print_ports(const char *missing)
{
	char node[300], found[64];
	DIR *ports = opendir(PORTS);

	fprintf(stderr, "s2eval: no port %s, but", missing);
	while (next_port(ports, node, sizeof(node), found, sizeof(found)))
		fprintf(stderr, " %s=%s", node, found);
	fputc('\n', stderr);
	if (ports)
		closedir(ports);
}

/* Has the driver take its devices again: the VMM then announces their ports once more. */
static inline void ask_for_ports(void)
{
	static const char * const files[] = { PORTS_DRIVER "/unbind", PORTS_DRIVER "/bind" };
	DIR *driver = opendir(PORTS_DRIVER);
	struct dirent *entry;
	char device[32] = "";

	while (driver && (entry = readdir(driver)))
		if (!strncmp(entry->d_name, "virtio", strlen("virtio")))
			snprintf(device, sizeof(device), "%.*s", (int)sizeof(device) - 1,
				 entry->d_name);
	for (size_t i = 0; i < ARRAY_SIZE(files) && *device; i++) {
		int fd = open(files[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, device, strlen(device)) < 0)
			fprintf(stderr, "s2eval: %s: %s\n", files[i], strerrorname_np(errno));
		close(fd);
	}
	if (driver)
		closedir(driver);
}

/*
 * Ports appear after boot, one by one, as the VMM announces them. Of some 400 guests, one
 * never saw a port of its own: it is asked for once more.
 */
static inline int wait_port(const char *name, long wait_ms)
{
	int fd = -1;

	for (int asked = 0; fd < 0 && asked < 2; asked++) {
		long end = now_ms() + wait_ms;

		if (asked)
			ask_for_ports();
		while ((fd = open_port(name)) < 0 && now_ms() < end)
			sleep_ms();
		if (fd < 0)
			print_ports(name);
	}
	return fd;
}

/* The word `name` on the kernel command line, or what follows it and "="; NULL without one. */
static inline const char *cmdline_value(const char *name)
{
	static char cmdline[4096];
	char *word, *rest = cmdline;
	size_t size = strlen(name);

	read_file("/proc/cmdline", cmdline, sizeof(cmdline));
	cmdline[strcspn(cmdline, "\n")] = '\0';
	while ((word = strsep(&rest, " ")))
		if (!strncmp(word, name, size) && (word[size] == '=' || !word[size]))
			return word + size + (word[size] == '=');
	return NULL;
}

/* A kernel without one of them is fine until somebody needs it. */
static inline void mount_all(void)
{
	static const struct { const char *type, *where; } mounts[] = {
		{ "devtmpfs", "/dev" },
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "debugfs", "/sys/kernel/debug" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].where, 0755);
		mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, NULL);
	}
}

/* Standard input, output and errors are the console from now on; its descriptor, -1 without one. */
static inline int use_console(void)
{
	int console = open("/dev/console", O_RDWR);

	if (console >= 0)
		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			dup2(console, fd);
	return console;
}

static inline void __attribute__((noreturn)) power_off(void)
{
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);	/* ends a QEMU that runs with -no-reboot */
	for (;;)
		pause();
}

#endif
