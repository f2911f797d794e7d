// SPDX-License-Identifier: GPL-2.0-only
/*
 * barmap: /dev/barmap maps a PCI BAR for a program, write-combining and executable, which
 * no file of sysfs does: what happens at an instruction fetch is then stage 2's to say.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>

#include <s2eval/bar.h>

BAR_PARAMETERS("1af4:1110", "ivshmem", "the BAR to map");

static struct bar bar;

static int barmap_mmap(struct file *file, struct vm_area_struct *vma)
{
	size_t size = vma->vm_end - vma->vm_start;

	if (vma->vm_pgoff || size > bar.size)
		return -EINVAL;
	/* Not pgprot_writecombine(): that takes the right to execute away. */
	vma->vm_page_prot = __pgprot_modify(vma->vm_page_prot, PTE_ATTRINDX_MASK,
					    PTE_ATTRINDX(MT_NORMAL_NC));
	return io_remap_pfn_range(vma, vma->vm_start, bar.start >> PAGE_SHIFT, size,
				  vma->vm_page_prot);
}

static const struct file_operations barmap_fops = {
	.owner = THIS_MODULE,
	.mmap = barmap_mmap,
};

static struct miscdevice barmap_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "barmap",
	.fops = &barmap_fops,
};

/* The BAR is not taken: the program has it through sysfs as well. */
static int __init barmap_init(void)
{
	struct pci_dev *pdev = bar_device(device);
	int error;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	bar = (struct bar) {
		.pdev = pdev,
		.number = bar_number,
		.start = pci_resource_start(pdev, bar_number),
		.size = pci_resource_len(pdev, bar_number),
	};
	error = misc_register(&barmap_misc);
	if (error)
		pci_dev_put(pdev);
	return error;
}

static void __exit barmap_exit(void)
{
	misc_deregister(&barmap_misc);
	pci_dev_put(bar.pdev);
}

module_init(barmap_init);
module_exit(barmap_exit);

MODULE_DESCRIPTION("A PCI BAR as executable memory of a program");
MODULE_LICENSE("GPL");
