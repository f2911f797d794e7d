/* SPDX-License-Identifier: GPL-2.0-only */
/* The BAR under test. */
#ifndef S2EVAL_BAR_H
#define S2EVAL_BAR_H

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/printk.h>
#include <linux/types.h>

#include "report.h"

/*
 * The module's parameters `device` and `bar`, as `device` and `bar_number`: the device @id that
 * is @what, and what happens to the BAR (@use).
 */
#define BAR_PARAMETERS(id, what, use)							\
static char *device = id;								\
module_param(device, charp, 0444);							\
MODULE_PARM_DESC(device, "PCI device as VVVV:DDDD (default " id ", " what ")");		\
static int bar_number = 2;								\
module_param_named(bar, bar_number, int, 0444);						\
MODULE_PARM_DESC(bar, use " (default 2)")

struct bar {
	struct pci_dev *pdev;
	int number;
	phys_addr_t start;
	resource_size_t size;
};

static inline struct pci_dev *bar_device(const char *name)
{
	unsigned int vendor, id;
	struct pci_dev *pdev;

	if (sscanf(name, "%x:%x", &vendor, &id) != 2) {
		pr_err("device=%s is not VVVV:DDDD\n", name);
		return ERR_PTR(-EINVAL);
	}
	pdev = pci_get_device(vendor, id, NULL);
	if (!pdev) {
		pr_err("no PCI device %s\n", name);
		return ERR_PTR(-ENODEV);
	}
	return pdev;
}

static inline int bar_take(struct bar *bar, size_t needed)
{
	int error;

	if (bar->number < 0 || bar->number >= PCI_STD_NUM_BARS ||
	    !(pci_resource_flags(bar->pdev, bar->number) & IORESOURCE_MEM)) {
		pr_err("%s has no memory BAR %d\n", pci_name(bar->pdev), bar->number);
		return -ENXIO;
	}
	bar->start = pci_resource_start(bar->pdev, bar->number);
	bar->size = pci_resource_len(bar->pdev, bar->number);
	if (bar->size < needed) {
		pr_err("BAR %d has %#llx bytes, %#zx are needed\n", bar->number, (u64)bar->size,
		       needed);
		return -ENOSPC;
	}
	error = pci_enable_device_mem(bar->pdev);
	if (error)
		return error;
	error = pci_request_region(bar->pdev, bar->number, KBUILD_MODNAME);
	if (error)
		pci_disable_device(bar->pdev);
	return error;
}

/*
 * Takes BAR @number, of at least @needed bytes, of the device @name ("VVVV:DDDD").
 * 0, or says in the log what is wrong; to be given back with bar_close().
 */
static inline int bar_open(struct bar *bar, const char *name, int number, size_t needed)
{
	struct pci_dev *pdev = bar_device(name);
	int error;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	*bar = (struct bar) { .pdev = pdev, .number = number };
	error = bar_take(bar, needed);
	if (error)
		pci_dev_put(pdev);
	return error;
}

static inline void bar_close(struct bar *bar)
{
	pci_release_region(bar->pdev, bar->number);
	pci_disable_device(bar->pdev);
	pci_dev_put(bar->pdev);
}

static inline void report_device(struct report *report, const struct bar *bar)
{
	report_line(report,
		    "# s2eval: device bdf=%s vendor=%04x device=%04x bar=%d start=%#llx size=%#llx",
		    pci_name(bar->pdev), bar->pdev->vendor, bar->pdev->device, bar->number,
		    (u64)bar->start, (u64)bar->size);
}

#endif /* S2EVAL_BAR_H */
