// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/stage2-tables: the raw material of a VM's stage 2, for who has the VM's
 * own file descriptor. It changes nothing, and reads nothing but what KVM's
 * tables lead to.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "module.h"

#define SYMBOL_SIZE 128

/*
 * Return whether an operation of a file is the function `name` of vmlinux, at its
 * first instruction. KVM's test of its own files is not exported (or to KVM
 * alone), but both functions are KVM's, static, and KVM is never a module on
 * arm64: no other file has them. A module's function has "[module]" behind it.
 */
static bool is_function(const void *function, const char *name)
{
	char symbol[SYMBOL_SIZE];
	size_t length = strlen(name);

	snprintf(symbol, sizeof(symbol), "%pS", function);
	return !strncmp(symbol, name, length) && !strncmp(symbol + length, "+0x0/", 5) &&
	       !strchr(symbol, '[');
}

/* Return what the file belongs to, NULL for a file that is not KVM's of this kind. */
static void *kvm_object(struct file *file, const char *ioctl, const char *release)
{
	const struct file_operations *operations = file->f_op;

	if (!operations || operations->owner || !is_function(operations->unlocked_ioctl, ioctl) ||
	    !is_function(operations->release, release))
		return NULL;
	return file->private_data;
}

static struct kvm *vm_of(struct file *file)
{
	return kvm_object(file, "kvm_vm_ioctl", "kvm_vm_release");
}

static struct kvm_vcpu *vcpu_of(struct file *file)
{
	return kvm_object(file, "kvm_vcpu_ioctl", "kvm_vcpu_release");
}

union request {
	s32 fd; /* the first member of each */
	struct tables_root root;
	struct tables_path path;
	struct tables_vcpu vcpu;
};

static long carry_out(unsigned int command, struct file *file, union request *request)
{
	struct kvm_vcpu *vcpu;
	struct kvm *kvm;

	if (command == TABLES_VCPU) {
		vcpu = vcpu_of(file);
		return vcpu ? tables_vcpu(vcpu, &request->vcpu) : -EINVAL;
	}
	kvm = vm_of(file);
	if (!kvm)
		return -EINVAL;
	if (command == TABLES_ROOT)
		return tables_root(kvm, &request->root);
	return tables_path(kvm, &request->path);
}

static long tables_ioctl(struct file *unused, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	union request request = {};
	struct fd fd;
	long error;

	if (command != TABLES_ROOT && command != TABLES_PATH && command != TABLES_VCPU)
		return -ENOTTY;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&request, user, _IOC_SIZE(command)))
		return -EFAULT;
	fd = fdget(request.fd); /* keeps the VM while it is read */
	if (!fd_file(fd))
		return -EBADF;
	error = carry_out(command, fd_file(fd), &request);
	fdput(fd);
	if (!error && copy_to_user(user, &request, _IOC_SIZE(command)))
		return -EFAULT;
	return error;
}

static const struct file_operations tables_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = tables_ioctl,
};

static struct miscdevice tables_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "stage2-tables",
	.mode = 0600,
	.fops = &tables_operations,
};

module_misc_device(tables_device);

MODULE_DESCRIPTION("Descriptors of stage 2, of a VM whose file descriptor one has");
MODULE_LICENSE("GPL");
