/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accesses that may fault, and what orders them. The exception table goes on after
 * the access: do_alignment_fault() in arch/arm64/mm/fault.c looks there before it
 * oopses.
 */
#ifndef S2EVAL_ACCESS_H
#define S2EVAL_ACCESS_H

#include <asm/asm-extable.h>
#include <asm/barrier.h>
#include <asm/sysreg.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/types.h>

/* Makes what one mapping wrote visible through another one of the same memory. */
static inline void finish_stores(void)
{
	/* Their types differ: a DSB is needed (Arm ARM, "Mismatched memory attributes"). */
	mb();
}

/* Writes back and forgets what the cache holds of @size bytes. */
static inline void clean_cache(const void __iomem *io, size_t size)
{
	/* CTR_EL0.DminLine is the log2 of a line's words of four bytes. */
	size_t line = 4UL << ((read_sysreg(ctr_el0) >> 16) & 0xf);
	unsigned long at = (unsigned long)io & -line;
	unsigned long end = (unsigned long)io + size;

	for (; at < end; at += line)
		asm volatile("dc civac, %0" : : "r" (at) : "memory");
	/* Until it is done. */
	mb();
}

/* 0, or -EFAULT when the access faulted. */
static inline int guarded_load64(const void __iomem *addr, u64 *value)
{
	int error = -EFAULT;
	u64 loaded = 0;

	asm volatile("1:	ldr	%[loaded], [%[addr]]\n"
		     "	mov	%w[error], wzr\n"
		     "2:\n"
		     _ASM_EXTABLE_KACCESS_ERR(1b, 2b, wzr)
		     : [loaded] "+&r" (loaded), [error] "+&r" (error)
		     : [addr] "r" (addr)
		     : "memory");
	*value = loaded;
	return error;
}

/* 0, or -EFAULT when the access faulted. */
static inline int guarded_store64(void __iomem *addr, u64 value)
{
	int error = -EFAULT;

	asm volatile("1:	str	%[value], [%[addr]]\n"
		     "	mov	%w[error], wzr\n"
		     "2:\n"
		     _ASM_EXTABLE_KACCESS_ERR(1b, 2b, wzr)
		     : [error] "+&r" (error)
		     : [value] "r" (value), [addr] "r" (addr)
		     : "memory");
	return error;
}

#endif /* S2EVAL_ACCESS_H */
