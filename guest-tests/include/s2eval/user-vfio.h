/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices as vfio maps them: a PCI device through a group and its container or through iommufd, and
 * a device of the board, which has no IOMMU (Documentation/driver-api/vfio.rst).
 */
#ifndef S2EVAL_USER_VFIO_H
#define S2EVAL_USER_VFIO_H

#include "user-pci.h"

#include <dirent.h>
#include <libgen.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

static struct pci tested_pci;	/* filled in by main(); its bdf is empty without a device */

/* The real-time clock of QEMU's virt board: registers, without an IOMMU in front. */
#define PLATFORM_DEVICE "/sys/bus/amba/devices/9010000.pl031"
#define NOIOMMU_SWITCH "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

#ifndef VFIO_NOIOMMU_IOMMU
#define VFIO_NOIOMMU_IOMMU 8
#endif

/* Since 6.6 (include/uapi/linux/vfio.h). */
struct bind_iommufd {
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_devid;
};
#define BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)

/* A feature of the series vfio-wc-mmap: where the BAR can be mapped write-combining. */
#define FEATURE_PCI_MMAP_WC 64

struct wc_alias {
	uint32_t index, flags;
	uint64_t offset, size;
};

/* How the BAR is mapped. */
enum vfio_road { VFIO_CONTAINER, VFIO_IOMMUFD, VFIO_CONTAINER_WC };

/* The last part of where a link of a device's folder leads; empty without one. */
static inline const char *link_name(const char *folder, const char *name)
{
	static char target[128];
	char path[256];
	ssize_t size;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	size = readlink(path, target, sizeof(target) - 1);
	target[size > 0 ? size : 0] = '\0';
	return basename(target);
}

/* Gives the device of a bus to `driver`; false when that does not take it. */
static inline bool bind_driver(const char *bus, const char *device, const char *driver)
{
	char folder[128], path[256];

	snprintf(folder, sizeof(folder), "%s/devices/%s", bus, device);
	if (!strcmp(link_name(folder, "driver"), driver))
		return true;
	snprintf(path, sizeof(path), "%s/driver/unbind", folder);
	write_text(path, device);	/* there may be none */
	errno = 0;
	snprintf(path, sizeof(path), "%s/driver_override", folder);
	if (!write_text(path, driver))
		return false;
	snprintf(path, sizeof(path), "%s/drivers_probe", bus);
	if (!write_text(path, device) || strcmp(link_name(folder, "driver"), driver)) {
		errno = errno ? errno : ENODEV;
		return false;
	}
	return true;
}

/* The descriptor of `device` in the group, whose node has the name that `format` makes; -1 with errno. */
static inline int open_in_group(const char *folder, const char *format, unsigned long iommu,
				const char *device)
{
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), group;
	char path[64];

	snprintf(path, sizeof(path), format, atoi(link_name(folder, "iommu_group")));
	group = open(path, O_RDWR | O_CLOEXEC);
	if (container < 0 || group < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, iommu))
		return -1;
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, device);
}

/* The descriptor of the PCI device by its own node, bound to an iommufd; -1 with errno. */
static inline int open_with_iommufd(void)
{
	struct bind_iommufd bound = { .argsz = sizeof(bound) };
	char path[64] = "";
	DIR *nodes = opendir(pci_file(&tested_pci, "vfio-dev"));
	struct dirent *entry;
	int device;

	while (nodes && (entry = readdir(nodes)))
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(path, sizeof(path), "/dev/vfio/devices/%.32s", entry->d_name);
	if (nodes)
		closedir(nodes);
	bound.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	device = open(path, O_RDWR | O_CLOEXEC);
	if (bound.iommufd < 0 || device < 0 || ioctl(device, BIND_IOMMUFD, &bound))
		return -1;
	return device;
}

/* The offset of a BAR's write-combining alias in the file of the device; -1 with errno. */
static inline off_t wc_offset(int device, unsigned int bar)
{
	struct {
		struct vfio_device_feature feature;
		struct wc_alias alias;
	} asked = {
		.feature = {
			.argsz = sizeof(asked),
			.flags = VFIO_DEVICE_FEATURE_GET | FEATURE_PCI_MMAP_WC,
		},
		.alias = { .index = bar },
	};

	return ioctl(device, VFIO_DEVICE_FEATURE, &asked) ? -1 : (off_t)asked.alias.offset;
}

static inline void *map_region(int device, off_t offset, void *place, size_t bytes)
{
	return offset < 0 ? MAP_FAILED : mmap(place, bytes, PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_FIXED, device, offset);
}

static inline off_t region_offset(int device, unsigned int index)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = index };

	return ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) ? -1 : (off_t)region.offset;
}

/* The descriptor of the device under test, which vfio-pci then drives; -1 with errno. */
static inline int vfio_device(enum vfio_road road)
{
	char folder[64];

	snprintf(folder, sizeof(folder), PCI_DEVICES "/%s", tested_pci.bdf);
	if (!bind_driver("/sys/bus/pci", tested_pci.bdf, "vfio-pci"))
		return -1;
	return road == VFIO_IOMMUFD ? open_with_iommufd() :
	       open_in_group(folder, "/dev/vfio/%d", VFIO_TYPE1v2_IOMMU, tested_pci.bdf);
}

/* Where the BAR begins in the file of the device; -1 with errno. */
static inline off_t bar_offset(int device, enum vfio_road road)
{
	return road == VFIO_CONTAINER_WC ? wc_offset(device, tested_pci.bar) :
					   region_offset(device, tested_pci.bar);
}

/* The BAR by vfio-pci; MAP_FAILED with errno. */
static inline void *map_vfio(enum vfio_road road, void *place, size_t bytes)
{
	int device = vfio_device(road);

	return device < 0 ? MAP_FAILED :
	       map_region(device, bar_offset(device, road), place, bytes);
}

/*
 * The registers of the board's device by vfio-amba, in a group without IOMMU; MAP_FAILED with errno
 * and in `lacking` what could not be done.
 */
static inline void *map_platform(void *place, size_t bytes, const char **lacking)
{
	char path[] = PLATFORM_DEVICE;
	const char *name = basename(path);
	int device;

	*lacking = "vfio has no noiommu mode";
	if (!write_text(NOIOMMU_SWITCH, "1"))
		return MAP_FAILED;
	*lacking = "vfio-amba does not take the board's pl031";
	if (!bind_driver("/sys/bus/amba", name, "vfio-amba"))
		return MAP_FAILED;
	*lacking = "vfio does not give the board's pl031";
	device = open_in_group(PLATFORM_DEVICE, "/dev/vfio/noiommu-%d", VFIO_NOIOMMU_IOMMU, name);
	return device < 0 ? MAP_FAILED :
	       map_region(device, region_offset(device, 0), place, bytes);
}

#endif /* S2EVAL_USER_VFIO_H */
