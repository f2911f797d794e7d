// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores to the BAR and a reset of the device: what was stored before must have reached
 * it before, and nothing may reach it while it is being reset. The harness reads that in
 * QEMU's trace. Usage: reset VVVV:DDDD BAR [after=TEST]
 */
#include <s2eval/user-pci.h>

#define COMMAND		4		/* PCI_COMMAND of linux/pci_regs.h, */
#define DECODES		0x2		/* its PCI_COMMAND_MEMORY */
#define FIRST_CAP	0x34		/* PCI_CAPABILITY_LIST */
#define CAP_EXPRESS	0x10		/* PCI_CAP_ID_EXP */
#define DEVICE_CONTROL	8		/* PCI_EXP_DEVCTL, from the capability on */
#define WINDOW		65536		/* bytes that are mapped */
#define STORED		512		/* bytes that are stored before a reset */
#define MARKER		0x53340000	/* and the number of the test */
#define MARKER_END	0x00010000
#define NO_RESET	-1		/* none has to come */
#define RACE_SECONDS	1.0		/* of stores while L1 does something to the device */

static struct pci pci;
static char *bars[2];			/* resourceN, resourceN_wc */
static unsigned int number;		/* of the test at hand */

/* Where Device Control is in the device's configuration space, 0 without one. */
static int device_control(void)
{
	uint8_t at, head[2];

	if (!pci_config(&pci, FIRST_CAP, &at, 1, false))
		return 0;
	for (int i = 0; at && i < 48; i++) {
		if (!pci_config(&pci, at, head, 2, false))
			return 0;
		if (head[0] == CAP_EXPRESS)
			return at + DEVICE_CONTROL;
		at = head[1];
	}
	return 0;
}

static void mark(uint32_t marker)
{
	finish_stores();
	*(volatile uint32_t *)bars[0] = marker;
	finish_stores();
}

/* What the harness looks for in the trace: `size` 0 when any stores may come. */
static void tell(const char *name, int size, int reset)
{
	char optional[32] = "";

	if (reset != NO_RESET)
		snprintf(optional, sizeof(optional), " reset=%#x", reset);
	number++;
	say("# s2eval: trace test=%s marker=%#x at=0 kind=write offset=%#x size=%d most=%d%s%s\n",
	    name, MARKER + number, number * 4096, size, size / 8, size ? " seed=1" : "",
	    optional);
}

static void store_all(char *bar)
{
	for (int i = 0; i < STORED / 8; i++)
		store64(bar + number * 4096 + 8 * i, pattern_word(1, i));
}

/* The kernel of the guest resets the device: through vfio-pci, L1 does. */
static bool flr(const char *name, char *bar)
{
	int control = device_control();

	if (!bar || !control)
		return skip("no such mapping, or no PCI Express device");
	tell(name, STORED, control);
	mark(MARKER + number);
	store_all(bar);
	/* No barrier: that is the question. */
	if (!write_text(pci_file(&pci, "reset"), "1"))
		return fail("the reset failed: %s", strerror(errno));
	mark((MARKER + number) | MARKER_END);
	return true;
}

static bool test_flr(void)
{
	return flr("flr", bars[0]);
}

static bool test_flr_wc(void)
{
	return flr("flr_wc", bars[1]);
}

static bool decode_off(const char *name, char *bar)
{
	uint16_t command, off;

	if (!bar)
		return skip("no such mapping");
	if (!pci_config(&pci, COMMAND, &command, 2, false))
		return fail("the device's configuration cannot be read");
	off = command & ~DECODES;
	tell(name, STORED, 0);
	mark(MARKER + number);
	store_all(bar);
	if (!pci_config(&pci, COMMAND, &off, 2, true) ||
	    !pci_config(&pci, COMMAND, &command, 2, true))
		return fail("the device's configuration cannot be written");
	mark((MARKER + number) | MARKER_END);
	return true;
}

static bool test_decode_off(void)
{
	return decode_off("decode_off", bars[0]);
}

static bool test_decode_off_wc(void)
{
	return decode_off("decode_off_wc", bars[1]);
}

static void store_once(void *at)
{
	store64(at, 0);
}

/* Stores go on while L1 does `action`; faults are the guest's own business. */
static bool race(const char *name, const char *action, int reset)
{
	long times = 0, faults = 0;
	double end;
	char told[256];
	int child;

	if (!is_answered())
		return skip("no host under test");
	tell(name, 0, reset);
	mark(MARKER + number);
	child = fork();
	if (child == 0)
		for (end = seconds() + 10 * RACE_SECONDS; seconds() < end; )
			guarded(store_once, bars[0] + number * 4096);
	if (!ask_host(action, told, sizeof(told)))
		return fail("the host under test did not answer");
	for (end = seconds() + RACE_SECONDS; seconds() < end; times++)
		faults += guarded(store_once, bars[0] + number * 4096) != 0;
	kill(child, SIGKILL);
	mark((MARKER + number) | MARKER_END);
	saw(name, faults ? "faults" : "works");
	return true;
}

static bool test_host_reset(void)
{
	return race("host_reset", "reset", device_control());
}

/* The last one: what L1 has begun ends when this guest has. */
static bool test_host_unbind(void)
{
	return race("host_unbind", "unbind", NO_RESET);
}

static const struct test tests[] = {
	{ "flr", test_flr },
	{ "flr_wc", test_flr_wc },
	{ "decode_off", test_decode_off },
	{ "decode_off_wc", test_decode_off_wc },
	{ "host_reset", test_host_reset },
	{ "host_unbind", test_host_unbind },
};

int main(int argc, char **argv)
{
	if (argc < 3 || !pci_find(&pci, argv[1], atoi(argv[2])))
		return 1;
	bars[0] = pci_map(&pci, "", WINDOW);
	bars[1] = pci_map(&pci, "_wc", WINDOW);
	if (!bars[0])
		return 2;
	run_tests(tests, ARRAY_SIZE(tests), argv[3]);
	return 0;
}
