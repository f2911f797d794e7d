/* SPDX-License-Identifier: GPL-2.0-only */
/* The device as a program has it, through sysfs; accesses that may end in a signal. */
#ifndef S2EVAL_USER_PCI_H
#define S2EVAL_USER_PCI_H

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "pattern.h"
#include "user.h"

#define PCI_DEVICES "/sys/bus/pci/devices"

struct pci {
	char bdf[32];
	int bar;
	uint64_t start, size;	/* of the BAR: guest physical address, bytes */
};

/* A file of the device's folder in sysfs. */
static inline const char *pci_file(const struct pci *pci, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", pci->bdf, name);
	return path;
}

static inline bool pci_is(const struct pci *pci, unsigned int vendor, unsigned int device)
{
	char text[32];

	if (!read_text(pci_file(pci, "vendor"), text, sizeof(text)) ||
	    strtoul(text, NULL, 16) != vendor)
		return false;
	return read_text(pci_file(pci, "device"), text, sizeof(text)) &&
	       strtoul(text, NULL, 16) == device;
}

/* Line @bar of "resource": start, end, flags. */
static inline bool pci_range(struct pci *pci)
{
	char text[4096], *line = text;
	unsigned long long start, end;

	if (!read_text(pci_file(pci, "resource"), text, sizeof(text)))
		return false;
	for (int i = 0; line && i < pci->bar; i++) {
		line = strchr(line, '\n');
		line += !!line;
	}
	if (!line || sscanf(line, "%llx %llx", &start, &end) != 2 || !end)
		return false;
	pci->start = start;
	pci->size = end - start + 1;
	return true;
}

/* The first device @id ("VVVV:DDDD"), switched on. False: there is none, or no such BAR. */
static inline bool pci_find(struct pci *pci, const char *id, int bar)
{
	unsigned int vendor, device;
	struct dirent *entry;
	bool found = false;
	DIR *folder = opendir(PCI_DEVICES);

	pci->bar = bar;
	if (!folder || sscanf(id, "%x:%x", &vendor, &device) != 2)
		return false;
	while (!found && (entry = readdir(folder))) {
		snprintf(pci->bdf, sizeof(pci->bdf), "%.31s", entry->d_name);
		found = entry->d_name[0] != '.' && pci_is(pci, vendor, device);
	}
	closedir(folder);
	if (!found || !pci_range(pci))
		return false;
	/* A driver has done it already, and sysfs refuses then. */
	if (!write_text(pci_file(pci, "enable"), "1") && errno != EBUSY)
		return false;
	say("# s2eval: device bdf=%s vendor=%04x device=%04x bar=%d start=%#llx size=%#llx\n",
	    pci->bdf, vendor, device, bar, (unsigned long long)pci->start,
	    (unsigned long long)pci->size);
	return true;
}

/* The first @size bytes of the BAR, through resourceN or (@suffix "_wc") resourceN_wc; or NULL. */
static inline void *pci_map(const struct pci *pci, const char *suffix, size_t size)
{
	char name[32];
	void *map;
	int fd;

	snprintf(name, sizeof(name), "resource%d%s", pci->bar, suffix);
	fd = open(pci_file(pci, name), O_RDWR | O_SYNC);
	if (fd < 0)
		return NULL;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

/* The bytes of @size at @offset of the device's configuration space; false when they cannot be. */
static inline bool pci_config(const struct pci *pci, int offset, void *data, size_t size,
			      bool write_it)
{
	int fd = open(pci_file(pci, "config"), O_RDWR);
	ssize_t done = -1;

	if (fd >= 0 && write_it)
		done = pwrite(fd, data, size, offset);
	else if (fd >= 0)
		done = pread(fd, data, size, offset);
	if (fd >= 0)
		close(fd);
	return done == (ssize_t)size;
}

static inline uint64_t load64(const void *at)
{
	uint64_t value;

	asm volatile("ldr %0, [%1]" : "=r" (value) : "r" (at) : "memory");
	return value;
}

static inline void store64(void *at, uint64_t value)
{
	asm volatile("str %0, [%1]" : : "r" (value), "r" (at) : "memory");
}

/* Another mapping of the same memory sees what this one has stored. */
static inline void finish_stores(void)
{
	asm volatile("dsb sy" : : : "memory");
}

static sigjmp_buf caught_at;

static inline void caught(int number)
{
	siglongjmp(caught_at, number);
}

/* The signal that @access ended in, 0 when it did not. */
static inline int guarded(void (*access)(void *at), void *at)
{
	static const int signals[] = { SIGBUS, SIGSEGV, SIGILL };
	int number = sigsetjmp(caught_at, 1);

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], number ? SIG_DFL : caught);
	if (!number) {
		access(at);
		for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
			signal(signals[i], SIG_DFL);
	}
	return number;
}

static inline const char *outcome(int number)
{
	return number ? "faults" : "works";
}

#endif /* S2EVAL_USER_PCI_H */
