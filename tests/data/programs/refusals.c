// SPDX-License-Identifier: GPL-2.0-only
/* Prints what /dev/stage2-tables says to descriptors of each kind: NAME REQUEST ERRNO. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "stage2-tables.h"

static int device;

static void ask(const char *name, int fd)
{
	struct tables_root root = { .vm = fd };
	struct tables_path path = { .vm = fd };
	struct tables_vcpu vcpu = { .vcpu = fd };

	errno = 0;
	ioctl(device, TABLES_ROOT, &root);
	printf("%s root %s\n", name, strerrorname_np(errno));
	errno = 0;
	ioctl(device, TABLES_PATH, &path);
	printf("%s path %s\n", name, strerrorname_np(errno));
	errno = 0;
	ioctl(device, TABLES_VCPU, &vcpu);
	printf("%s vcpu %s\n", name, strerrorname_np(errno));
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0), ends[2];
	struct kvm_create_device gic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	device = open(TABLES_DEVICE, O_RDWR);
	ioctl(vm, KVM_CREATE_DEVICE, &gic);
	if (device < 0 || vm < 0 || vcpu < 0 || pipe(ends))
		return 1;
	ask("vm", vm);
	ask("vcpu", vcpu);
	ask("kvm", kvm);
	ask("vgic", gic.fd);
	ask("module", device);
	ask("file", open("/proc/self/exe", O_RDONLY));
	ask("pipe", ends[0]);
	ask("eventfd", eventfd(0, 0));
	ask("timerfd", timerfd_create(0, 0));
	ask("epoll", epoll_create1(0));
	ask("path", open("/dev", O_PATH));
	ask("none", 999);
	errno = 0;
	ioctl(device, KVM_CREATE_VM, 0);
	printf("unknown request %s\n", strerrorname_np(errno));
	return 0;
}
