// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads a kernel with its initramfs for kexec, or jumps into the one that is loaded:
 *
 *	kexec load IMAGE INITRD CMDLINE		INITRD may be ""
 *	kexec run
 *
 * Static, because a machine in a lab need not have kexec-tools; kexec_file_load(2) is all that
 * an arm64 Image takes. What fails is told in one line, and is the exit status 1; 3 when the
 * running kernel lacks that call, as Debian 12's does, so that kexec-tools is to be tried.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *why(int error)
{
	switch (error) {
	case ENOSYS:
		return "the running kernel has no kexec_file_load (CONFIG_KEXEC_FILE)";
	case EPERM:
		return "not permitted (kexec_load_disabled, or lockdown)";
	case EKEYREJECTED:
	case ENOKEY:
	case ENODATA:
		return "the running kernel wants a signature of the image (CONFIG_KEXEC_SIG_FORCE)";
	case EBUSY:
		return "a CPU of the running kernel cannot be taken down (CONFIG_HOTPLUG_CPU)";
	default:
		return strerror(error);
	}
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "kexec: %s: %s\n", what, why(error));
	return error == ENOSYS ? 3 : 1;
}

static int load(const char *image, const char *initrd, const char *cmdline)
{
	int kernel = open(image, O_RDONLY | O_CLOEXEC), root = -1;
	unsigned long flags = 0;

	if (kernel < 0)
		return fail(image, errno);
	if (*initrd) {
		root = open(initrd, O_RDONLY | O_CLOEXEC);
		if (root < 0)
			return fail(initrd, errno);
	} else {
		flags = KEXEC_FILE_NO_INITRAMFS;
	}
	if (syscall(SYS_kexec_file_load, kernel, root, strlen(cmdline) + 1, cmdline, flags))
		return fail("load", errno);
	return 0;
}

int main(int argc, char *argv[])
{
	if (argc == 5 && !strcmp(argv[1], "load"))
		return load(argv[2], argv[3], argv[4]);
	if (argc == 2 && !strcmp(argv[1], "run")) {
		reboot(LINUX_REBOOT_CMD_KEXEC);
		return fail("run", errno);
	}
	fputs("usage: kexec load IMAGE INITRD CMDLINE | kexec run\n", stderr);
	return 2;
}
