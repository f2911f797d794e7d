// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must not hurt the host under test: a guest that does wrong things to its device.
 * The guest itself may suffer. Usage: containment VVVV:DDDD BAR [after=TEST]
 */
#include <s2eval/user-pci.h>

#define COMMAND		4		/* PCI_COMMAND of linux/pci_regs.h, */
#define DECODES		0x2		/* its PCI_COMMAND_MEMORY */
#define WINDOW		65536		/* bytes that are mapped */
#define LOOP_SECONDS	1.0
#define RET		0xd65f03c0	/* the instruction */

static struct pci pci;
static char *bar;

static void load_byte(void *at)
{
	(void)*(volatile uint8_t *)at;
}

static void load_half(void *at)
{
	(void)*(volatile uint16_t *)at;
}

static void load_long(void *at)
{
	load64(at);
}

static void store_byte(void *at)
{
	*(volatile uint8_t *)at = 0;
}

static void store_long(void *at)
{
	store64(at, 0);
}

/* Whatever comes of it, this guest has lived to tell. */
static bool touch(const char *name, void (*access)(void *at), void *at)
{
	saw(name, outcome(guarded(access, at)));
	return true;
}

static bool test_load(void)
{
	return touch("load", load_long, bar);
}

static bool test_store(void)
{
	return touch("store", store_long, bar);
}

/* edu takes 4 bytes at a time below 0x80; other devices take any. */
static bool test_byte_load(void)
{
	return touch("byte_load", load_byte, bar);
}

static bool test_half_load(void)
{
	return touch("half_load", load_half, bar);
}

static bool test_byte_store(void)
{
	return touch("byte_store", store_byte, bar);
}

static bool set_decode(bool on)
{
	uint16_t command;

	if (!pci_config(&pci, COMMAND, &command, 2, false))
		return false;
	command = on ? command | DECODES : command & ~DECODES;
	return pci_config(&pci, COMMAND, &command, 2, true);
}

/* The guest switches its device off, as it sees it: the VMM takes the BAR out of its memory. */
static bool test_decode_off_load(void)
{
	if (!set_decode(false))
		return fail("the device's configuration cannot be written");
	touch("decode_off_load", load_long, bar);
	return set_decode(true) || fail("the device cannot be switched on again");
}

static bool test_decode_off_store(void)
{
	if (!set_decode(false))
		return fail("the device's configuration cannot be written");
	touch("decode_off_store", store_long, bar);
	return set_decode(true) || fail("the device cannot be switched on again");
}

/* The device is gone behind the guest's back, while stage 2 still maps its BAR. */
static bool gone(const char *name, void (*access)(void *at))
{
	double end;
	long times = 0, faults = 0;
	char told[256];

	if (!is_answered())
		return skip("no host under test");
	if (!ask_host("decode-off", told, sizeof(told)))
		return fail("the host under test did not answer");
	for (end = seconds() + LOOP_SECONDS; seconds() < end; times++)
		faults += guarded(access, bar) != 0;
	saw(name, faults ? "faults" : "works");
	say("# s2eval: value test=%s name=accesses value=%ld unit=accesses samples=%ld "
	    "representative=0\n", name, times, times);
	return ask_host("decode-on", told, sizeof(told)) ||
	       fail("the host under test did not answer");
}

static bool test_gone_load_loop(void)
{
	return gone("gone_load_loop", load_long);
}

static bool test_gone_store_loop(void)
{
	return gone("gone_store_loop", store_long);
}

static void plant(void *at)
{
	*(volatile uint32_t *)at = RET;
	finish_stores();
	(void)*(volatile uint32_t *)at;
}

static void jump(void *at)
{
	((void (*)(void))at)();
}

/* The BAR as executable memory: stage 1 allows it, barmap.ko sees to that. */
static bool test_execute(void)
{
	int fd = open("/dev/barmap", O_RDWR);
	uint32_t *code = fd < 0 ? MAP_FAILED : mmap(NULL, WINDOW, PROT_READ | PROT_WRITE | PROT_EXEC,
						    MAP_SHARED, fd, 0);

	if (code == MAP_FAILED)
		return fail("/dev/barmap cannot be mapped");
	if (guarded(plant, code) || code[0] != RET)
		return skip("what is stored in this BAR is not what is read back");
	__builtin___clear_cache((char *)code, (char *)(code + 1));
	return touch("execute", jump, code);
}

/* The others first: a guest that has touched nothing yet shows more. */
static const struct test tests[] = {
	{ "load", test_load },
	{ "store", test_store },
	{ "byte_load", test_byte_load },
	{ "half_load", test_half_load },
	{ "byte_store", test_byte_store },
	{ "execute", test_execute },
	{ "decode_off_load", test_decode_off_load },
	{ "decode_off_store", test_decode_off_store },
	{ "gone_load_loop", test_gone_load_loop },
	{ "gone_store_loop", test_gone_store_loop },
};

int main(int argc, char **argv)
{
	if (argc < 3 || !pci_find(&pci, argv[1], atoi(argv[2])))
		return 1;
	bar = pci_map(&pci, "", WINDOW);
	if (!bar)
		return 2;
	run_tests(tests, ARRAY_SIZE(tests), argv[3]);
	return 0;
}
