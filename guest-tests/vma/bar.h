/* SPDX-License-Identifier: GPL-2.0-only */
/* The BAR as sysfs maps it: resourceN and resourceN_wc (Documentation/PCI/sysfs-pci.rst). */
#ifndef VMA_BAR_H
#define VMA_BAR_H

#include <s2eval/user-vfio.h>

/* resourceN, or with `suffix` resourceN_wc; MAP_FAILED with errno. */
static inline void *map_sysfs(const char *suffix, void *place, size_t bytes)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "resource%d%s", tested_pci.bar, suffix);
	fd = open(pci_file(&tested_pci, name), O_RDWR | O_CLOEXEC);
	return fd < 0 ? MAP_FAILED : map_region(fd, 0, place, bytes);
}

#endif /* VMA_BAR_H */
