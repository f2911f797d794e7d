/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that suites are built for; the only place that
 * knows. It looks for the feature, not for the version: vendors backport.
 */
#ifndef S2EVAL_COMPAT_H
#define S2EVAL_COMPAT_H

#include <asm/neon.h>
#include <asm/simd.h>

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

#endif /* S2EVAL_COMPAT_H */
