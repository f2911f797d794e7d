// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds out what a machine shows of Arm's memory types, by making the accesses.
 *
 * Every fact is a `key=value` line on the PL011; README.md lists the keys.
 * Arm ARM (DDI 0487): D8 for the descriptors, D24 for the registers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define sysreg_read(name) ({ uint64_t v_; asm volatile("mrs %0, " name : "=r"(v_)); v_; })
#define sysreg_write(name, value) asm volatile("msr " name ", %0" :: "r"((uint64_t)(value)))

#define UART		0x09000000ul	/* QEMU's `virt`, also with KVM */
#define UART_DR		(UART + 0x00)
#define UART_FR		(UART + 0x18)
#define UART_CR		(UART + 0x30)
#define UART_FR_TXFF	(1u << 5)
#define UART_CR_ON	0x301u		/* UARTEN, TXE, RXE */

#define PSCI_SYSTEM_OFF	0x84000008ul

#define HCR_VM		(1ul << 0)
#define HCR_RW		(1ul << 31)
#define HCR_E2H		(1ul << 34)
#define HCR_FWB		(1ul << 46)

/* VTCR_EL2: 39-bit IPA, 4K granule, walk from level 1, tables inner shareable write-back. */
#define VTCR_BASE	(25ul | 1ul << 6 | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 31)

#define PAGE		4096ul
#define DESC_TABLE	3ul
#define DESC_PAGE	(3ul | 3ul << 8 | 1ul << 10)	/* inner shareable, AF */
#define DESC_BLOCK	(1ul | 3ul << 8 | 1ul << 10)
#define S2_RW		(3ul << 6)
#define S2_MEMATTR(m)	((uint64_t)(m) << 2)
#define S2_WB_NOFWB	0xf
#define S2_WB_FWB	6

#define ESR_EC(esr)	((esr) >> 26)
#define EC_DABT_LOWER	0x24
#define EC_DABT_SAME	0x25
#define ESR_DFSC(esr)	((esr) & 0x3f)
#define DFSC_ALIGNMENT	0x21

#define WINDOW		0x80000000ul	/* VA, and IPA where stage 2 is on */
#define UNALIGNED	1ul		/* eight bytes from here cross an 8-byte boundary */
#define CODE		0x100ul		/* the function in target_page */
#define CODE_RETURNS	0x5a5aul

/* The order of MAIR's bytes in start.S. */
enum s1_type { NGNRNE, NGNRE, NGRE, GRE, NC, WT, WB, S1_TYPES };
static const char *const s1_names[] = { "nGnRnE", "nGnRE", "nGRE", "GRE", "NC", "WT", "WB" };

/* What stage 2's MemAttr[3:0] may be; the others are reserved. */
static const uint8_t memattrs_nofwb[] = { 0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15 };
static const uint8_t memattrs_fwb[] = { 0, 1, 2, 3, 5, 6, 7 };
#define S2_NGNRE	1
#define S2_NC		5		/* with and without FWB */

struct outcome {
	uint64_t value;
	uint64_t esr;
	uint64_t level;			/* the EL that took the fault, 0 for none */
};

typedef void step(void);
extern step step_load, step_call;
extern uint8_t target_page[];
void run_step(step *what, uint64_t va, struct outcome *out, bool at_el2);

#define TABLE_PAGE static uint64_t __attribute__((aligned(4096)))
uint64_t window_l2[512] __attribute__((aligned(4096)));
TABLE_PAGE window_l3[512];
TABLE_PAGE s2_l1[512];
TABLE_PAGE s2_l2[512];
TABLE_PAGE s2_l3[512];

static bool at_el2;
static unsigned int lines;

/* The output. */

static void mmio_write(uint64_t address, uint32_t value)
{
	/* No write-back: a hypervisor cannot emulate an access without a valid syndrome. */
	asm volatile("str %w0, [%1]" :: "r"(value), "r"(address) : "memory");
}

static uint32_t mmio_read(uint64_t address)
{
	uint32_t value;

	asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static void put(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			lines++;
		while (mmio_read(UART_FR) & UART_FR_TXFF)
			;
		mmio_write(UART_DR, *text);
	}
}

static void put_hex(uint64_t value, int digits)
{
	char text[17];

	for (int i = 0; i < digits; i++)
		text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 0xf];
	text[digits] = 0;
	put(text);
}

static void put_fact(const char *key, uint64_t value)
{
	put(key);
	put("=0x");
	put_hex(value, 16);
	put("\n");
}

static void __attribute__((noreturn)) power_off(void)
{
	register uint64_t x0 asm("x0") = PSCI_SYSTEM_OFF;

	/* The firmware that QEMU stands in for is above the EL the guest is entered at. */
	if (at_el2)
		asm volatile("smc #0" : "+r"(x0) :: "memory");
	else
		asm volatile("hvc #0" : "+r"(x0) :: "memory");
	for (;;)
		asm volatile("wfi");
}

/* From the vectors: an exception that no step asked for. */
void __attribute__((noreturn))
unexpected(uint64_t slot, uint64_t esr, uint64_t elr, uint64_t far)
{
	static bool again;

	if (!again) {
		again = true;
		put_fact("\nunexpected.slot", slot);
		put_fact("unexpected.esr", esr);
		put_fact("unexpected.elr", elr);
		put_fact("unexpected.far", far);
	}
	power_off();
}

/* Mappings. */

/* Forgets all translations, so that the next access fills the TLB. */
static void flush_tlb(void)
{
	asm volatile("dsb ishst" ::: "memory");
	if (at_el2)
		asm volatile("tlbi alle1" ::: "memory");
	else
		asm volatile("tlbi vmalle1" ::: "memory");
	asm volatile("dsb nsh; isb" ::: "memory");
}

/* Window pages: 16 for each stage-1 type, one a MemAttr; behind them one a type without stage 2. */
static uint64_t va_two_stages(enum s1_type s1, unsigned int memattr)
{
	return WINDOW + (s1 * 16 + memattr) * PAGE;
}

static uint64_t va_one_stage(enum s1_type s1)
{
	return WINDOW + (256 + s1) * PAGE;
}

static void make_window(void)
{
	window_l2[0] = (uint64_t)window_l3 | DESC_TABLE;
	for (unsigned int s1 = 0; s1 < S1_TYPES; s1++) {
		uint64_t type = DESC_PAGE | (uint64_t)s1 << 2;

		for (unsigned int memattr = 0; memattr < 16; memattr++)
			window_l3[s1 * 16 + memattr] = (WINDOW + memattr * PAGE) | type;
		window_l3[256 + s1] = (uint64_t)target_page | type;
	}
	flush_tlb();
}

/* Stage 2: RAM as it is, and from 2 GiB on one page for each MemAttr. */
static void stage2_on(bool fwb, const uint8_t *memattrs, size_t count)
{
	uint64_t pa_size = sysreg_read("id_aa64mmfr0_el1") & 0xf;

	s2_l1[1] = 0x40000000ul | DESC_BLOCK | S2_RW | S2_MEMATTR(fwb ? S2_WB_FWB : S2_WB_NOFWB);
	s2_l1[2] = (uint64_t)s2_l2 | DESC_TABLE;
	s2_l2[0] = (uint64_t)s2_l3 | DESC_TABLE;
	for (size_t i = 0; i < count; i++)
		s2_l3[memattrs[i]] =
			(uint64_t)target_page | DESC_PAGE | S2_RW | S2_MEMATTR(memattrs[i]);
	sysreg_write("vtcr_el2", VTCR_BASE | (pa_size > 5 ? 5 : pa_size) << 16);
	sysreg_write("vttbr_el2", s2_l1);
	sysreg_write("hcr_el2", HCR_RW | HCR_VM | (fwb ? HCR_FWB : 0));
	flush_tlb();
}

static void stage2_off(void)
{
	sysreg_write("hcr_el2", HCR_RW);
	flush_tlb();
}

/* Accesses. */

/* w works, 1 or 2 alignment fault taken to that EL, x anything else (the first is reported). */
static char word_for(const struct outcome *got, uint64_t wanted)
{
	if (!got->level)
		return got->value == wanted ? 'w' : 'x';
	if (ESR_DFSC(got->esr) != DFSC_ALIGNMENT)
		return 'x';
	if (got->level == 1 && ESR_EC(got->esr) == EC_DABT_SAME)
		return '1';
	if (got->level == 2 && ESR_EC(got->esr) == EC_DABT_LOWER)
		return '2';
	return 'x';
}

static uint64_t target_bytes(uint64_t offset)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | target_page[offset + i];
	return value;
}

static struct outcome odd;
static bool seen_odd;

static char load(uint64_t va, uint64_t offset)
{
	struct outcome got;
	char word;

	run_step(step_load, va + offset, &got, at_el2);
	word = word_for(&got, target_bytes(offset));
	if (word == 'x' && !seen_odd) {
		seen_odd = true;
		odd = got;
	}
	return word;
}

/* Four words: unaligned, again; then with a fresh TLB aligned, unaligned. */
static void put_loads(uint64_t va)
{
	char text[5] = { 0 };

	flush_tlb();
	text[0] = load(va, UNALIGNED);
	text[1] = load(va, UNALIGNED);
	flush_tlb();
	text[2] = load(va, 0);
	text[3] = load(va, UNALIGNED);
	put(text);
}

static void put_outcome(const char *key, const struct outcome *got)
{
	put(key);
	put(got->level == 0 ? "=el0," : got->level == 1 ? "=el1," : "=el2,");
	put_hex(got->level ? got->esr : got->value, 16);
	put("\n");
}

static void report_load(const char *key, uint64_t va)
{
	struct outcome got;

	flush_tlb();
	run_step(step_load, va + UNALIGNED, &got, at_el2);
	put_outcome(key, &got);
}

static void report_call(const char *key, uint64_t va)
{
	struct outcome got;

	flush_tlb();
	run_step(step_call, va + CODE, &got, at_el2);
	put_outcome(key, &got);
}

/* PAR_EL1.ATTR of a read at EL1: both stages' from EL2, stage 1's alone from EL1. */
static void put_par(uint64_t va)
{
	uint64_t par;

	if (at_el2)
		asm volatile("at s12e1r, %0; isb" :: "r"(va) : "memory");
	else
		asm volatile("at s1e1r, %0; isb" :: "r"(va) : "memory");
	par = sysreg_read("par_el1");
	if (par & 1)
		put("--");
	else
		put_hex(par >> 56, 2);
}

/* Facts. */

static void id_registers(void)
{
	put_fact("midr", sysreg_read("midr_el1"));
	put_fact("ctr", sysreg_read("ctr_el0"));
	put_fact("cntfrq", sysreg_read("cntfrq_el0"));
	put_fact("pfr0", sysreg_read("id_aa64pfr0_el1"));
	put_fact("pfr1", sysreg_read("id_aa64pfr1_el1"));
	put_fact("isar0", sysreg_read("id_aa64isar0_el1"));
	put_fact("isar1", sysreg_read("id_aa64isar1_el1"));
	put_fact("mmfr0", sysreg_read("id_aa64mmfr0_el1"));
	put_fact("mmfr1", sysreg_read("id_aa64mmfr1_el1"));
	put_fact("mmfr2", sysreg_read("s3_0_c0_c7_2"));	/* ID_AA64MMFR2_EL1 */
}

static void one_stage(void)
{
	for (unsigned int s1 = 0; s1 < S1_TYPES; s1++) {
		put("s1.");
		put(s1_names[s1]);
		put("=");
		put_par(va_one_stage(s1));
		put(":");
		put_loads(va_one_stage(s1));
		put("\n");
	}
	report_load("esr.s1_device", va_one_stage(NGNRE));
	report_load("esr.s1_nc", va_one_stage(NC));
	report_call("exec.s1_wb", va_one_stage(WB));
	report_call("exec.s1_device", va_one_stage(NGNRE));
}

static void two_stages(bool fwb)
{
	const uint8_t *memattrs = fwb ? memattrs_fwb : memattrs_nofwb;
	size_t count = fwb ? sizeof(memattrs_fwb) : sizeof(memattrs_nofwb);

	stage2_on(fwb, memattrs, count);
	for (unsigned int s1 = 0; s1 < S1_TYPES; s1++) {
		for (size_t i = 0; i < count; i++) {
			put(i ? "," : fwb ? "s2fwb." : "s2.");
			if (!i) {
				put(s1_names[s1]);
				put("=");
			}
			put_hex(memattrs[i], 1);
			put(":");
			put_par(va_two_stages(s1, memattrs[i]));
			put(":");
			put_loads(va_two_stages(s1, memattrs[i]));
		}
		put("\n");
	}
	report_load(fwb ? "esr.s2fwb_device" : "esr.s2_device", va_two_stages(NC, S2_NGNRE));
	report_load(fwb ? "esr.s2fwb_nc" : "esr.s2_nc", va_two_stages(NC, S2_NC));
	if (!fwb)
		report_call("exec.s2_device", va_two_stages(NC, S2_NGNRE));
	stage2_off();
}

void __attribute__((noreturn)) main(uint64_t el)
{
	at_el2 = el == 2;
	mmio_write(UART_CR, UART_CR_ON);
	put("s2eval-calibrate=1\n");
	put_fact("el", el);
	if (at_el2 && (sysreg_read("hcr_el2") & HCR_E2H)) {
		put("unsupported=HCR_EL2.E2H cannot be cleared\n");
		power_off();
	}
	id_registers();
	make_window();
	one_stage();
	if (at_el2) {
		two_stages(false);
		if (sysreg_read("s3_0_c0_c7_2") >> 40 & 0xf)
			two_stages(true);
	}
	if (seen_odd)
		put_outcome("odd", &odd);
	put_fact("end", lines);
	power_off();
}
