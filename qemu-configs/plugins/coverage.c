// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCG plugin that records which instructions of a kernel's Image QEMU has translated, which it
 * does when a CPU is about to execute them. It adds nothing to the translated code.
 *
 *   record=PATH   the record, a byte for each instruction of the Image: those of the kernel that
 *                 QEMU's loader put into memory, then those of a guest with the same Image
 *   size=BYTES    of the Image
 *   entry=ADDR    physical address of the Image's first instruction
 *   virt=ADDR     its linked address, the symbol _text
 *   ram=BYTES     of the machine's memory
 *   base=ADDR     physical address of that memory
 *
 * The host under test and its guest run the same Image at the same virtual addresses. They are told
 * apart by where in memory an instruction lies: the host's Image is where the loader put it, at
 * whatever virtual address it is mapped (before the MMU is on, in EL2's own map without VHE).
 *
 * The functions of QEMU are declared here because distributions do not ship qemu-plugin.h; they are
 * those of version 4 of the API (include/qemu/qemu-plugin.h, QEMU 9.2 and newer).
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define API_VERSION 4
#define EXPORT __attribute__((visibility("default")))
#define INSTRUCTION 4 /* bytes */
#define PAGE 4096     /* no page is smaller */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*call)(qemu_plugin_id_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = API_VERSION;

static struct {
	const char *record;
	uint64_t size, entry, virt, ram, base;
} options;
static uint8_t *of_host, *of_guest;
static uint64_t image; /* where QEMU has the host's Image mapped; 0: not known yet */
static int searched;

/* A machine that is restored does not execute its Image's entry: its memory is a memfd then. */
static uint64_t find_image(void)
{
	char line[512];
	uint64_t start, end, found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, " /memfd:") && !strstr(line, "/dev/fd/"))
			continue;
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && end - start == options.ram)
			found = start + options.entry - options.base;
	}
	if (maps)
		fclose(maps);
	return found;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
	size_t count = qemu_plugin_tb_n_insns(block);

	(void)id;
	if (!searched) {
		searched = 1;
		image = find_image();
	}
	/* Instructions of one page lie behind each other, for the guest and in QEMU's own memory. */
	for (size_t first = 0, rest; first < count; first += rest) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, first);
		uint64_t virtual = qemu_plugin_insn_vaddr(insn);
		uint64_t host = (uintptr_t)qemu_plugin_insn_haddr(insn);

		rest = (PAGE - virtual % PAGE) / INSTRUCTION;
		if (rest > count - first)
			rest = count - first;
		if (!image && virtual == options.entry) /* the MMU is off */
			image = host;
		if (image && host - image < options.size)
			memset(of_host + (host - image) / INSTRUCTION, 1, rest);
		else if (virtual - options.virt < options.size)
			memset(of_guest + (virtual - options.virt) / INSTRUCTION, 1, rest);
	}
}

static void take(const char *argument)
{
	const char *value = strchr(argument, '=');
	struct {
		const char *name;
		uint64_t *number;
	} numbers[] = {
		{ "size=", &options.size }, { "entry=", &options.entry }, { "virt=", &options.virt },
		{ "ram=", &options.ram },   { "base=", &options.base },
	};

	if (!strncmp(argument, "record=", 7))
		options.record = value + 1;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strncmp(argument, numbers[i].name, strlen(numbers[i].name)))
			*numbers[i].number = strtoull(value + 1, NULL, 0);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	uint64_t count;
	void *map;
	int fd;

	(void)info;
	for (int i = 0; i < argc; i++)
		take(argv[i]);
	count = options.size / INSTRUCTION + PAGE / INSTRUCTION; /* a run may pass the end */
	if (!options.record || !options.size)
		return 1;
	fd = open(options.record, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 2 * count)) {
		perror(options.record);
		return 1;
	}
	map = mmap(NULL, 2 * count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		perror(options.record);
		return 1;
	}
	of_host = map;
	of_guest = of_host + count;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
