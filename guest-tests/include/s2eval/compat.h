/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that suites are built for; the only place that
 * knows. It looks for the feature, not for the version: vendors backport.
 */
#ifndef S2EVAL_COMPAT_H
#define S2EVAL_COMPAT_H

#include <asm/neon.h>
#include <asm/simd.h>
#include <linux/mm.h>
#include <linux/version.h>

/*
 * The SIMD registers between simd_begin() and simd_end(). Kernels that have
 * scoped_ksimd() want room for what the registers held before.
 */
struct simd {
#ifdef scoped_ksimd
	struct user_fpsimd_state saved;
#endif
};

static inline void simd_begin(struct simd *simd)
{
#ifdef scoped_ksimd
	kernel_neon_begin(&simd->saved);
#else
	kernel_neon_begin();
#endif
}

static inline void simd_end(struct simd *simd)
{
#ifdef scoped_ksimd
	kernel_neon_end(&simd->saved);
#else
	kernel_neon_end();
#endif
}

/* A kernel without the flag has no such name, or has it as nothing (VM_NONE). */
#ifdef VM_ALLOW_ANY_UNCACHED
#define ANY_UNCACHED VM_ALLOW_ANY_UNCACHED
#else
#define ANY_UNCACHED VM_NONE
#endif
#define HAS_ANY_UNCACHED (ANY_UNCACHED != VM_NONE)

/* vm_flags_set() is a function, which the preprocessor cannot see: it came with 6.3. */
static inline void add_vm_flags(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
#if __has_include(<linux/pfn_t.h>)
#include <linux/pfn_t.h>
static inline vm_fault_t insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, pfn_to_pfn_t(pfn), write);
}
#else
static inline vm_fault_t insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, pfn, write);
}
#endif
#endif

#endif /* S2EVAL_COMPAT_H */
