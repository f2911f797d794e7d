/* SPDX-License-Identifier: GPL-2.0-only */
/* The BAR as the kernel's own drivers map it: sysfs's resourceN files, and vfio-pci. */
#ifndef VMA_BAR_H
#define VMA_BAR_H

#include <s2eval/user-pci.h>

#include <libgen.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

static struct pci tested_pci;	/* filled in by main(); its bdf is empty without a device */

static inline void *map_file(const char *name, void *place, size_t bytes)
{
	int fd = open(pci_file(&tested_pci, name), O_RDWR | O_CLOEXEC);

	return fd < 0 ? MAP_FAILED : mmap(place, bytes, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_FIXED, fd, 0);
}

/* resourceN, or with `suffix` resourceN_wc. */
static inline void *map_sysfs(const char *suffix, void *place, size_t bytes)
{
	char name[32];

	snprintf(name, sizeof(name), "resource%d%s", tested_pci.bar, suffix);
	return map_file(name, place, bytes);
}

static inline bool bind_vfio(void)
{
	char driver[128];
	ssize_t size = readlink(pci_file(&tested_pci, "driver"), driver, sizeof(driver) - 1);

	driver[size > 0 ? size : 0] = '\0';
	if (!strcmp(basename(driver), "vfio-pci"))
		return true;
	if (size > 0)	/* an error shows when the new driver does not take the device */
		write_text(pci_file(&tested_pci, "driver/unbind"), tested_pci.bdf);
	return write_text(pci_file(&tested_pci, "driver_override"), "vfio-pci") &&
	       write_text("/sys/bus/pci/drivers_probe", tested_pci.bdf);
}

/* The device's descriptor, through a container of its own; -1 with errno. */
static inline int open_vfio(void)
{
	char link[128], path[64];
	ssize_t size = readlink(pci_file(&tested_pci, "iommu_group"), link, sizeof(link) - 1);
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), group;

	link[size > 0 ? size : 0] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%.32s", basename(link));
	group = open(path, O_RDWR | O_CLOEXEC);
	if (container < 0 || group < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -1;
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, tested_pci.bdf);
}

static inline void *map_vfio(void *place, size_t bytes)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = tested_pci.bar };
	int device = bind_vfio() ? open_vfio() : -1;

	if (device < 0 || ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		return MAP_FAILED;
	return mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, device,
		    region.offset);
}

#endif /* VMA_BAR_H */
