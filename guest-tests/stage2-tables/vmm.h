/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that runs a VM: its descriptors, taken over, and it itself, held still. */
#ifndef S2EVAL_STAGE2_TABLES_VMM_H
#define S2EVAL_STAGE2_TABLES_VMM_H

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_VCPUS 512
#define VM_LINK "anon_inode:kvm-vm"
#define VCPU_LINK "anon_inode:kvm-vcpu:"

struct vmm {
	int pid;
	int pidfd;
	int vm; /* our own descriptor of its VM */
	int vcpus; /* the highest number of a vCPU, plus one */
	int vcpu[MAX_VCPUS]; /* by number; 0 where there is none */
};

static int pidfd_open_(int pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

/* Call `see` with each descriptor of a process and what it is. */
static void each_descriptor(int pid, void (*see)(struct vmm *, int, const char *),
			    struct vmm *vmm)
{
	char folder[64], link[128];
	struct dirent *entry;
	ssize_t length;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", pid);
	dir = opendir(folder);
	if (!dir)
		return; /* it has ended */
	while ((entry = readdir(dir))) {
		length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (length > 0) {
			link[length] = 0;
			see(vmm, atoi(entry->d_name), link);
		}
	}
	closedir(dir);
}

static void count_vm(struct vmm *vmm, int fd, const char *link)
{
	vmm->vm += !strcmp(link, VM_LINK);
}

/* Return whether a process runs this program: one that has failed leaves its child for a moment,
 * which has its parent's descriptors.
 */
static int is_this_program(int pid)
{
	struct stat own, other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return !stat("/proc/self/exe", &own) && !stat(path, &other) &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* Find the only process with a VM. With more than one, or with none, the program ends. */
static int find_vmm(void)
{
	char others[256] = "";
	struct dirent *entry;
	int found = 0, vms = 0;
	DIR *dir = opendir("/proc");

	if (!dir)
		err(1, "/proc");
	while ((entry = readdir(dir))) {
		struct vmm vmm = { .pid = atoi(entry->d_name) };

		if (vmm.pid <= 0 || is_this_program(vmm.pid))
			continue;
		each_descriptor(vmm.pid, count_vm, &vmm);
		if (!vmm.vm)
			continue;
		vms += vmm.vm;
		found = vmm.pid;
		snprintf(others + strlen(others), sizeof(others) - strlen(others), " %d", found);
	}
	closedir(dir);
	if (!vms)
		errx(1, "no process here runs a VM");
	if (vms > 1)
		errx(1, "%d VMs run here, in the processes%s: name one with -p", vms, others);
	return found;
}

static void take_over(struct vmm *vmm, int fd, const char *link)
{
	int is_vm = !strcmp(link, VM_LINK);
	int number, own;

	if (!is_vm && strncmp(link, VCPU_LINK, strlen(VCPU_LINK)))
		return;
	own = syscall(SYS_pidfd_getfd, vmm->pidfd, fd, 0);
	if (own < 0)
		return; /* closed meanwhile */
	if (is_vm) {
		vmm->vm = own;
		return;
	}
	number = atoi(link + strlen(VCPU_LINK));
	if (number < 0 || number >= MAX_VCPUS)
		errx(1, "vCPU %d: this program knows %d", number, MAX_VCPUS);
	vmm->vcpu[number] = own;
	if (number >= vmm->vcpus)
		vmm->vcpus = number + 1;
}

static void open_vmm(struct vmm *vmm, int pid)
{
	memset(vmm, 0, sizeof(*vmm));
	vmm->pid = pid;
	vmm->vm = -1;
	vmm->pidfd = pidfd_open_(pid);
	if (vmm->pidfd < 0)
		err(1, "process %d", pid);
	each_descriptor(pid, take_over, vmm);
	if (vmm->vm < 0)
		errx(1, "process %d runs no VM", pid);
}

static int send_signal(const struct vmm *vmm, int number)
{
	return syscall(SYS_pidfd_send_signal, vmm->pidfd, number, NULL, 0);
}

/* Return whether the process is stopped already, by somebody else: /proc/PID/stat. */
static int is_stopped(const struct vmm *vmm)
{
	char path[64], text[512] = "", *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", vmm->pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		err(1, "%s", path);
	close(fd);
	end = strrchr(text, ')');
	return end && (end[2] == 'T' || end[2] == 't');
}

struct hold {
	int pipe; /* -1: somebody else has stopped the process, nothing is to be done */
	int child;
	struct timespec since;
};

/*
 * Stop the process. A child lets it go on when this program is over, however it
 * ends: the child reads a pipe, which is then closed.
 */
static struct hold hold_still(const struct vmm *vmm)
{
	struct hold hold = { .pipe = -1 };
	int ends[2];
	char unused;

	clock_gettime(CLOCK_MONOTONIC, &hold.since);
	if (is_stopped(vmm))
		return hold;
	if (pipe(ends))
		err(1, "pipe");
	fflush(stdout);
	hold.child = fork();
	if (hold.child < 0)
		err(1, "fork");
	if (!hold.child) {
		setsid(); /* what ends this program by its group does not end the child */
		close(ends[1]);
		while (read(ends[0], &unused, 1) < 0 && errno == EINTR)
			;
		send_signal(vmm, SIGCONT);
		_exit(0);
	}
	close(ends[0]);
	hold.pipe = ends[1];
	if (send_signal(vmm, SIGSTOP))
		err(1, "stopping process %d", vmm->pid);
	return hold;
}

/* Let the process go on; return how long it was held (ns). */
static long long let_go(const struct vmm *vmm, const struct hold *hold)
{
	struct timespec now;

	if (hold->pipe >= 0) {
		send_signal(vmm, SIGCONT);
		close(hold->pipe);
		waitpid(hold->child, NULL, 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - hold->since.tv_sec) * 1000000000LL + now.tv_nsec - hold->since.tv_nsec;
}

#endif /* S2EVAL_STAGE2_TABLES_VMM_H */
