// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device of the host whose mmap() gives each page protection over each kind of memory: what
 * KVM makes of a VMA depends on these two, and no driver has all of them.
 *
 * Parameters: device=VVVV:DDDD bar=N name the PCI device whose BAR is offered. With provoke=1 the
 * module fails as a kernel might, at faults in pages: where they are `noncached` the VMM that asks
 * for them dies of a BUG, where they are `device` it hangs, and does not even take a SIGKILL.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <s2eval/compat.h>

#include "vma-memory.h"

static char *device = "";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "PCI vendor and device in hexadecimal, e.g. 1af4:1110");

static uint bar;
module_param(bar, uint, 0444);
MODULE_PARM_DESC(bar, "number of the BAR");

static bool provoke;
module_param(provoke, bool, 0444);
MODULE_PARM_DESC(provoke, "kill or hang the VMM that maps pages in certain ways");

#define HANG_SECONDS 30		/* longer than the VMM's patience */

struct session {
	struct mutex lock;
	struct vma_offer offer;
	bool chosen;
};

static bool is_provoked(const struct vma_offer *offer, enum vma_pgprot pgprot)
{
	return provoke && offer->memory == VMA_PAGES && offer->how == VMA_FAULT &&
	       offer->pgprot == pgprot;
}

static unsigned long first_pfn(const struct session *session)
{
	return PHYS_PFN(memories[session->offer.memory].start);
}

static vm_fault_t fault(struct vm_fault *vmf)
{
	const struct session *session = vmf->vma->vm_private_data;

	if (is_provoked(&session->offer, VMA_DEVICE))
		schedule_timeout_uninterruptible(HANG_SECONDS * HZ);
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      first_pfn(vmf->vma->vm_private_data) +
			      ((vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT));
}

static const struct vm_operations_struct fault_ops = { .fault = fault };

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
static vm_fault_t huge_fault(struct vm_fault *vmf, unsigned int order)
{
	unsigned long start = vmf->address & PMD_MASK;
	bool write = vmf->flags & FAULT_FLAG_WRITE;

	if (order != PMD_ORDER || start < vmf->vma->vm_start || start + PMD_SIZE > vmf->vma->vm_end)
		return VM_FAULT_FALLBACK;
	return insert_pfn_pmd(vmf, first_pfn(vmf->vma->vm_private_data) +
			      ((start - vmf->vma->vm_start) >> PAGE_SHIFT), write);
}

static const struct vm_operations_struct huge_ops = { .fault = fault, .huge_fault = huge_fault };
#else
#define huge_ops fault_ops
#endif

/* Why the kernel cannot map it so; NULL when it can. */
static const char *why_not(const struct vma_offer *offer)
{
	const struct memory *memory = &memories[offer->memory];

	if (memory->reason)
		return memory->reason;
	if (offer->how == VMA_HUGE_FAULT && !IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP))
		return "the kernel maps device memory by pages only (no ARCH_SUPPORTS_PMD_PFNMAP)";
	if (offer->how == VMA_INSERT && !pfn_valid(PHYS_PFN(memory->start)))
		return "it has no struct pages";
	if (offer->flags & VMA_ANY_UNCACHED && !HAS_ANY_UNCACHED)
		return "the kernel has no VM_ALLOW_ANY_UNCACHED";
	return NULL;
}

static long choose(struct file *file, unsigned int command, unsigned long argument)
{
	struct vma_offer __user *user = (void __user *)argument;
	struct session *session = file->private_data;
	struct vma_offer offer;
	const char *reason;

	if (command != VMA_OFFER)
		return -ENOTTY;
	if (copy_from_user(&offer, user, sizeof(offer)))
		return -EFAULT;
	if (offer.memory >= VMA_MEMORIES || offer.pgprot >= VMA_PGPROTS ||
	    offer.how >= VMA_HOWS || offer.flags & ~VMA_ANY_UNCACHED)
		return -EINVAL;
	if (is_provoked(&offer, VMA_NONCACHED))
		BUG();
	reason = why_not(&offer);
	if (reason) {
		strscpy(offer.reason, reason, sizeof(offer.reason));
		return copy_to_user(user, &offer, sizeof(offer)) ? -EFAULT : -EOPNOTSUPP;
	}
	/* Once: a fault may ask at any time what was chosen. */
	mutex_lock(&session->lock);
	if (session->chosen) {
		mutex_unlock(&session->lock);
		return -EBUSY;
	}
	session->offer = offer;
	session->chosen = true;
	mutex_unlock(&session->lock);
	return 0;
}

static pgprot_t protection(enum vma_pgprot pgprot, pgprot_t given)
{
	switch (pgprot) {
	case VMA_NONCACHED:
		return pgprot_noncached(given);
	case VMA_DEVICE:
		return pgprot_device(given);
	case VMA_WRITECOMBINE:
		return pgprot_writecombine(given);
	case VMA_TAGGED:
		return pgprot_tagged(given);
	default:
		return given;
	}
}

static int insert_pages(struct vm_area_struct *vma, unsigned long pfn)
{
	int error = 0;

	for (unsigned long at = vma->vm_start; at < vma->vm_end && !error; at += PAGE_SIZE)
		error = vm_insert_page(vma, at, pfn_to_page(pfn++));
	return error;
}

static int map_chosen(struct session *session, struct vm_area_struct *vma)
{
	const struct vma_offer *offer = &session->offer;
	unsigned long size = vma->vm_end - vma->vm_start;

	vma->vm_page_prot = protection(offer->pgprot, vma->vm_page_prot);
	if (offer->flags & VMA_ANY_UNCACHED)
		add_vm_flags(vma, ANY_UNCACHED);
	switch (offer->how) {
	case VMA_REMAP:
		return remap_pfn_range(vma, vma->vm_start, first_pfn(session), size,
				       vma->vm_page_prot);
	case VMA_INSERT:
		return insert_pages(vma, first_pfn(session));
	}
	add_vm_flags(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = session;	/* lives as long as the file, and so as the VMA */
	vma->vm_ops = offer->how == VMA_FAULT ? &fault_ops : &huge_ops;
	return 0;
}

static int map(struct file *file, struct vm_area_struct *vma)
{
	struct session *session = file->private_data;
	int error = -EINVAL;

	if (vma->vm_pgoff || vma->vm_end - vma->vm_start > OFFERED || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	mutex_lock(&session->lock);
	if (session->chosen)
		error = map_chosen(session, vma);
	mutex_unlock(&session->lock);
	return error;
}

static int open(struct inode *inode, struct file *file)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return -ENOMEM;
	mutex_init(&session->lock);
	file->private_data = session;
	return 0;
}

static int release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = open,
	.release = release,
	.unlocked_ioctl = choose,
	.mmap = map,
};

static struct miscdevice node = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = VMA_NODE,
	.fops = &fops,
};

static int __init vma_memory_init(void)
{
	int error;

	find_memories(device, bar);
	error = misc_register(&node);
	if (error)
		release_memories();
	else
		offer_platform_reset();
	return error;
}

static void __exit vma_memory_exit(void)
{
	withdraw_platform_reset();
	misc_deregister(&node);
	release_memories();
}

module_init(vma_memory_init);
module_exit(vma_memory_exit);

MODULE_DESCRIPTION("Mappings of every page protection over every kind of memory");
MODULE_LICENSE("GPL");
