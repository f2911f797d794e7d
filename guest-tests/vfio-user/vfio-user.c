// SPDX-License-Identifier: GPL-2.0-only
/*
 * The BAR in a driver of user space on the host, as DPDK's are: mapped through vfio by each road
 * that the kernel has, and write-combining where vfio-pci can (series vfio-wc-mmap).
 * Usage: vfio-user VVVV:DDDD BAR
 */
#define _GNU_SOURCE
#include <s2eval/user-vfio.h>

#include <linux/pci_regs.h>
#include <pthread.h>
#include <sys/wait.h>

#define WINDOW	0x4000UL	/* bytes of a mapping */
#define STORED	4096		/* bytes that are stored and compared */
#define BELL	0x3000		/* the doorbell's page, beside the buffer's */
#define ROUNDS	200

static const struct road {
	const char *name;
	enum vfio_road road;
	bool device;		/* stage 1 is Device memory */
} roads[] = {
	{ "container", VFIO_CONTAINER, true },
	{ "container_wc", VFIO_CONTAINER_WC, false },
	{ "iommufd", VFIO_IOMMUFD, true },
};

/* The BAR twice: as the road maps it, and (`plain`) as vfio-pci does unasked. */
static struct {
	const struct road *road;
	int fd;
	off_t offset;
	char *window, *plain;
} bar;

static void *map_at(off_t offset, size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bar.fd, offset);
}

static bool holds(uint64_t seed, size_t size)
{
	for (size_t i = 0; i < size / 8; i++)
		if (load64(bar.plain + 8 * i) != pattern_word(seed, i))
			return fail("the other mapping does not see what was stored");
	return true;
}

static bool test_stores(void)
{
	for (size_t i = 0; i < STORED / 8; i++)
		store64(bar.window + 8 * i, pattern_word(1, i));
	finish_stores();
	return holds(1, STORED);
}

/* 64 bytes with two stores of two vector registers: what a driver copies a descriptor with. */
static void vector_stores(void *at)
{
	uint64_t line[8];

	for (size_t i = 0; i < ARRAY_SIZE(line); i++)
		line[i] = pattern_word(2, i);
	asm volatile("ldp q0, q1, [%0]\n"
		     "ldp q2, q3, [%0, #32]\n"
		     "stp q0, q1, [%1]\n"
		     "stp q2, q3, [%1, #32]\n"
		     : : "r" (line), "r" (at) : "v0", "v1", "v2", "v3", "memory");
}

static bool test_vector_stores(void)
{
	if (guarded(vector_stores, bar.window))
		return fail("the stores were refused");
	finish_stores();
	return holds(2, 64);
}

static void unaligned_load(void *at)
{
	load64(at + 1);
}

static void unaligned_store(void *at)
{
	store64(at + 1, 0x0123456789abcdefULL);
}

static void unaligned_vector(void *at)
{
	asm volatile("ldr q0, [%0]" : : "r" (at + 1) : "v0", "memory");
}

/* Device memory refuses what is not aligned (Arm ARM, B2.7), so the outcome tells the type. */
static bool unaligned(const char *test, void (*access)(void *at), off_t offset, bool device)
{
	char *fresh = map_at(offset, WINDOW);
	int number;

	if (fresh == MAP_FAILED)
		return fail("the BAR cannot be mapped again");
	number = guarded(access, fresh);
	munmap(fresh, WINDOW);
	say("  # s2eval: value test=%s.%s name=outcome value=%s\n", bar.road->name, test,
	    outcome(number));
	return !!number == device || fail(device ? "the mapping is not Device memory" :
						   "the mapping is not write-combining");
}

static bool test_unaligned_load(void)
{
	return unaligned("unaligned_load", unaligned_load, bar.offset, bar.road->device);
}

static bool test_unaligned_store(void)
{
	return unaligned("unaligned_store", unaligned_store, bar.offset, bar.road->device);
}

static bool test_unaligned_vector(void)
{
	return unaligned("unaligned_vector", unaligned_vector, bar.offset, bar.road->device);
}

/* Beside a mapping of the road, a new one at the region's own offset is as it always was. */
static bool test_unaligned_beside(void)
{
	return unaligned("unaligned_beside", unaligned_load,
			 region_offset(bar.fd, tested_pci.bar), true);
}

/* The device's part: sees the doorbell, then must see all of the buffer. */
static void *device_side(void *seen)
{
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		while (load64(bar.plain + BELL) < round)
			;
		asm volatile("dmb sy" : : : "memory");
		for (size_t i = 0; i < 8; i++)
			*(uint64_t *)seen += load64(bar.plain + 8 * i) != pattern_word(round, i);
		store64(bar.plain + BELL + 64, round);
	}
	return NULL;
}

/* A buffer, a barrier, a doorbell in a mapping that is Device: the doorbell never comes first. */
static bool test_doorbell(void)
{
	uint64_t wrong = 0;
	pthread_t thread;

	store64(bar.plain + BELL, 0);
	store64(bar.plain + BELL + 64, 0);
	finish_stores();
	if (pthread_create(&thread, NULL, device_side, &wrong))
		return fail("no thread is to be had");
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		for (size_t i = 0; i < 8; i++)
			store64(bar.window + 8 * i, pattern_word(round, i));
		asm volatile("dmb oshst" : : : "memory");
		store64(bar.plain + BELL, round);
		while (load64(bar.plain + BELL + 64) < round)
			;
	}
	pthread_join(thread, NULL);
	return !wrong || fail("the doorbell came before the buffer");
}

/* A mapping ends where the BAR does, at each of its offsets. */
static bool test_bounds(void)
{
	void *beyond = map_at(bar.offset + tested_pci.size, WINDOW);

	if (beyond != MAP_FAILED)
		return fail("bytes behind the BAR were mapped");
	return errno == EINVAL || fail("refused, but not with EINVAL");
}

static void load(void *at)
{
	load64(at);
}

/* Switches the device's memory decode on or off, in the Command register of its configuration space. */
static bool decode(bool on)
{
	off_t command = region_offset(bar.fd, VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND;
	uint16_t value;

	if (pread(bar.fd, &value, sizeof(value), command) != sizeof(value))
		return fail("the Command register cannot be read");
	value = on ? value | PCI_COMMAND_MEMORY : value & ~PCI_COMMAND_MEMORY;
	return pwrite(bar.fd, &value, sizeof(value), command) == sizeof(value) ||
	       fail("the Command register cannot be written");
}

/* vfio-pci takes all mappings away meanwhile, and an access ends in SIGBUS, not at the device. */
static bool test_decode_off(void)
{
	int off, on;

	store64(bar.window, pattern_word(3, 0));
	finish_stores();
	if (!decode(false))
		return false;
	off = guarded(load, bar.window);
	if (!decode(true))
		return false;
	on = guarded(load, bar.window);
	if (off != SIGBUS)
		return fail("an access with memory decode off ended in %d, not in SIGBUS", off);
	if (on)
		return fail("the mapping did not come back with memory decode: signal %d", on);
	return load64(bar.window) == pattern_word(3, 0) || fail("the data did not come back");
}

static const struct {
	const char *name;
	bool (*run)(void);
} tests[] = {
	{ "stores", test_stores },
	{ "vector_stores", test_vector_stores },
	{ "doorbell", test_doorbell },
	{ "bounds", test_bounds },
	{ "decode_off", test_decode_off },
	{ "unaligned_load", test_unaligned_load },
	{ "unaligned_store", test_unaligned_store },
	{ "unaligned_vector", test_unaligned_vector },
	{ "unaligned_beside", test_unaligned_beside },
};

static bool run_all(void)
{
	bool passed = true, one;

	say("  1..%zu\n", ARRAY_SIZE(tests));
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		say("  # s2eval: begin test=%s.%s\n", bar.road->name, tests[i].name);
		one = tests[i].run();
		say("  %sok %zu %s\n", one ? "" : "not ", i + 1, tests[i].name);
		passed &= one;
	}
	return passed;
}

static const char *why_not(enum vfio_road road, int error)
{
	if (road == VFIO_CONTAINER_WC && error == ENOTTY)
		return "vfio-pci has no VFIO_DEVICE_FEATURE_PCI_MMAP_WC";
	if (road == VFIO_IOMMUFD && error == ENOENT)
		return "the kernel has no iommufd or no descriptors of devices";
	return strerror(error);
}

/* A process's work, as a device has one owner at a time: the road's tests, and its line. */
static void run_road(const struct road *road, size_t number)
{
	const char *reason = NULL;
	bool passed = true;

	say("  KTAP version 1\n  # Subtest: %s\n", road->name);
	bar.road = road;
	bar.fd = vfio_device(road->road);
	bar.offset = bar.fd < 0 ? -1 : bar_offset(bar.fd, road->road);
	if (bar.offset < 0) {
		reason = why_not(road->road, errno);
		say("  1..0 # SKIP %s\n", reason);
	} else {
		bar.window = map_at(bar.offset, WINDOW);
		bar.plain = map_at(region_offset(bar.fd, tested_pci.bar), WINDOW);
		passed = bar.window == MAP_FAILED || bar.plain == MAP_FAILED ?
			 fail("mmap: %s", strerror(errno)) : run_all();
	}
	say("%sok %zu %s%s%s\n", passed ? "" : "not ", number, road->name,
	    reason ? " # SKIP " : "", reason ? reason : "");
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 3 || !pci_find(&tested_pci, argv[1], atoi(argv[2])))
		return 1;
	say("KTAP version 1\n1..%zu\n", ARRAY_SIZE(roads));
	for (size_t i = 0; i < ARRAY_SIZE(roads); i++) {
		pid_t child = fork();

		if (!child) {
			run_road(&roads[i], i + 1);
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 2;
		if (status)
			say("not ok %zu %s\n", i + 1, roads[i].name);
	}
	return 0;
}
