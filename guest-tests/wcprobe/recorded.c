// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the architecture leaves to the CPU and the bus behind it: exclusives and LSE
 * atomics on memory of a device; and DC ZVA, which Device memory refuses. What came of
 * each access is recorded ("seen"), nothing is judged.
 *
 * The exception table catches alignment faults. An "unsupported exclusive or atomic"
 * fault (DFSC 0x35) it does not: the kernel oopses.
 */
#include <asm/sysreg.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include <s2eval/access.h>
#include <s2eval/stage1.h>

#include "wcprobe.h"

/* An access to 16 bytes at @io: 0, -EFAULT, or -EAGAIN when it never has an effect. */
struct operation {
	const char *name;
	int (*run)(void __iomem *io);
};

#define ATTEMPTS	100

/* Load-exclusive and store-exclusive; @regs is a register, or a pair. */
#define EXCLUSIVE(name, load, store, regs)					\
static int run_##name(void __iomem *io)						\
{										\
	int error, busy, i;							\
										\
	for (i = 0; i < ATTEMPTS; i++) {					\
		error = -EFAULT;						\
		busy = 1;							\
		asm volatile("1:	" load " " regs ", [%[io]]\n"		\
			     "2:	" store " %w[busy], " regs ", [%[io]]\n"	\
			     "	mov	%w[error], wzr\n"			\
			     "3:\n"						\
			     _ASM_EXTABLE_KACCESS_ERR(1b, 3b, wzr)		\
			     _ASM_EXTABLE_KACCESS_ERR(2b, 3b, wzr)		\
			     : [error] "+&r" (error), [busy] "+&r" (busy)	\
			     : [io] "r" (io)					\
			     : "x9", "x10", "memory");				\
		if (error || !busy)						\
			return error;						\
	}									\
	return -EAGAIN;								\
}

EXCLUSIVE(ldxrb, "ldxrb", "stxrb", "w9")
EXCLUSIVE(ldxrh, "ldxrh", "stxrh", "w9")
EXCLUSIVE(ldxr_w, "ldxr", "stxr", "w9")
EXCLUSIVE(ldxr_x, "ldxr", "stxr", "x9")
EXCLUSIVE(ldxp, "ldxp", "stxp", "x9, x10")

static const struct operation exclusives[] = {
	{ "ldxrb",	run_ldxrb },
	{ "ldxrh",	run_ldxrh },
	{ "ldxr_w",	run_ldxr_w },
	{ "ldxr_x",	run_ldxr_x },
	{ "ldxp",	run_ldxp },
};

#define ATOMIC(name, text)							\
static int run_##name(void __iomem *io)						\
{										\
	int error = -EFAULT;							\
										\
	asm volatile(".arch_extension lse\n"					\
		     "	mov	x8, #1\n"					\
		     "	mov	x9, #2\n"					\
		     "	mov	x10, #3\n"					\
		     "	mov	x11, #4\n"					\
		     "1:	" text ", [%[io]]\n"				\
		     "	mov	%w[error], wzr\n"				\
		     "2:\n"							\
		     _ASM_EXTABLE_KACCESS_ERR(1b, 2b, wzr)			\
		     : [error] "+&r" (error)					\
		     : [io] "r" (io)						\
		     : "x8", "x9", "x10", "x11", "memory");			\
	return error;								\
}

ATOMIC(ldadd_w, "ldadd w8, w9")
ATOMIC(ldadd_x, "ldadd x8, x9")
ATOMIC(stadd_x, "stadd x8")
ATOMIC(ldset_x, "ldset x8, x9")
ATOMIC(swp_x, "swp x8, x9")
ATOMIC(cas_w, "cas w8, w9")
ATOMIC(cas_x, "cas x8, x9")
ATOMIC(casp, "casp x8, x9, x10, x11")

static const struct operation atomics[] = {
	{ "ldadd_w",	run_ldadd_w },
	{ "ldadd_x",	run_ldadd_x },
	{ "stadd_x",	run_stadd_x },
	{ "ldset_x",	run_ldset_x },
	{ "swp_x",	run_swp_x },
	{ "cas_w",	run_cas_w },
	{ "cas_x",	run_cas_x },
	{ "casp",	run_casp },
};

static const char *outcome(int error)
{
	if (error == -EAGAIN)
		return "never-succeeds";
	return error ? "faults" : "works";
}

/* Each is the first touch of a mapping of its own. */
static enum verdict record_all(struct step *step, const struct operation *operations,
			       unsigned int count)
{
	void __iomem *fresh;
	unsigned int i;

	for (i = 0; i < count; i++) {
		fresh = step_map(step, REGION_SIZE);
		if (!fresh)
			return step_fail(step, "%s returns NULL", step->mapping->name);
		step_seen(step, operations[i].name, outcome(operations[i].run(fresh)));
		step_unmap(step, fresh);
	}
	return PASS;
}

enum verdict probe_exclusives(struct step *step)
{
	return record_all(step, exclusives, ARRAY_SIZE(exclusives));
}

enum verdict probe_atomics(struct step *step)
{
	/* ID_AA64ISAR0_EL1.Atomic is 2 with FEAT_LSE. */
	if (FIELD_GET(GENMASK_ULL(23, 20), read_sysreg(id_aa64isar0_el1)) < 2)
		return step_skip(step, "the CPU has no FEAT_LSE");
	return record_all(step, atomics, ARRAY_SIZE(atomics));
}

static int zero_block(void __iomem *io)
{
	int error = -EFAULT;

	asm volatile("1:	dc	zva, %[io]\n"
		     "	mov	%w[error], wzr\n"
		     "2:\n"
		     _ASM_EXTABLE_KACCESS_ERR(1b, 2b, wzr)
		     : [error] "+&r" (error)
		     : [io] "r" (io)
		     : "memory");
	return error;
}

static bool is_zero(const void __iomem *io, size_t size)
{
	size_t i;

	for (i = 0; i < size; i += sizeof(u64))
		if (readq(io + i))
			return false;
	return true;
}

/*
 * DC ZVA, and memset() of zeros, which is made of it: nothing guards memset(), so it
 * runs only where DC ZVA has worked.
 */
enum verdict probe_zero(struct step *step)
{
	u64 dczid = read_sysreg(dczid_el0);
	/* DCZID_EL0.DZP forbids it, BS is the log2 of the block's words of four bytes. */
	size_t block = 4UL << (dczid & 0xf);
	void __iomem *fresh;
	int error;

	if (dczid & BIT(4) || block > CHECK_SIZE)
		return step_skip(step, "the CPU does not allow DC ZVA");
	fill_inverse(step, 2 * CHECK_WORDS);
	fresh = step_map(step, REGION_SIZE);
	if (!fresh)
		return step_fail(step, "%s returns NULL", step->mapping->name);
	error = zero_block(fresh);
	if (!error)
		memset((void __force *)fresh + CHECK_SIZE, 0, CHECK_SIZE);
	sync_stores(step, fresh, 2 * CHECK_SIZE);
	step_unmap(step, fresh);
	step_seen(step, "dc_zva", outcome(error));
	if (error)
		return PASS;
	if (!is_zero(step->reference, block))
		return step_fail(step, "DC ZVA left something behind");
	if (!is_zero(step->reference + CHECK_SIZE, CHECK_SIZE))
		return step_fail(step, "memset() of zeros left something behind");
	step_seen(step, "memset", "works");
	return PASS;
}
