/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What modules and programs write: word i of a seed is splitmix64(seed + i). The harness
 * computes the same (docs/guest-protocol.md) and compares the BAR's host side.
 */
#ifndef S2EVAL_PATTERN_H
#define S2EVAL_PATTERN_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>

typedef uint64_t u64;
#endif

static inline u64 pattern_word(u64 seed, unsigned int i)
{
	u64 z = seed + i + 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

#endif /* S2EVAL_PATTERN_H */
