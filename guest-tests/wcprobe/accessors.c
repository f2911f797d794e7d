// SPDX-License-Identifier: GPL-2.0-only
/* The accessors under test: to add one, write what it does and add a row. */
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "wcprobe.h"

/* The accessors of one value. */
#define STORE_OF(write, type)							\
static void store_##write(void __iomem *to, const void *from, size_t size)	\
{										\
	const type *values = from;						\
	size_t i;								\
										\
	for (i = 0; i < size / sizeof(type); i++)				\
		write(values[i], to + i * sizeof(type));			\
}

#define LOAD_OF(read, type)							\
static void load_##read(void *to, const void __iomem *from, size_t size)	\
{										\
	type *values = to;							\
	size_t i;								\
										\
	for (i = 0; i < size / sizeof(type); i++)				\
		values[i] = read(from + i * sizeof(type));			\
}

STORE_OF(writeb, u8)
STORE_OF(writew, u16)
STORE_OF(writel, u32)
STORE_OF(writeq, u64)
STORE_OF(writeb_relaxed, u8)
STORE_OF(writew_relaxed, u16)
STORE_OF(writel_relaxed, u32)
STORE_OF(writeq_relaxed, u64)
STORE_OF(__raw_writeb, u8)
STORE_OF(__raw_writew, u16)
STORE_OF(__raw_writel, u32)
STORE_OF(__raw_writeq, u64)
LOAD_OF(readb, u8)
LOAD_OF(readw, u16)
LOAD_OF(readl, u32)
LOAD_OF(readq, u64)
LOAD_OF(readb_relaxed, u8)
LOAD_OF(readw_relaxed, u16)
LOAD_OF(readl_relaxed, u32)
LOAD_OF(readq_relaxed, u64)
LOAD_OF(__raw_readb, u8)
LOAD_OF(__raw_readw, u16)
LOAD_OF(__raw_readl, u32)
LOAD_OF(__raw_readq, u64)

static void store_iowrite32_copy(void __iomem *to, const void *from, size_t size)
{
	__iowrite32_copy(to, from, size / sizeof(u32));
}

static void store_iowrite64_copy(void __iomem *to, const void *from, size_t size)
{
	__iowrite64_copy(to, from, size / sizeof(u64));
}

static void load_ioread32_copy(void *to, const void __iomem *from, size_t size)
{
	__ioread32_copy(to, from, size / sizeof(u32));
}

static void store_memcpy_toio(void __iomem *to, const void *from, size_t size)
{
	memcpy_toio(to, from, size);
}

static void load_memcpy_fromio(void *to, const void __iomem *from, size_t size)
{
	memcpy_fromio(to, from, size);
}

#define FILL	64	/* bytes of one value that memset_io() and memset() store here */

static void store_memset_io(void __iomem *to, const void *from, size_t size)
{
	const u8 *bytes = from;
	size_t i;

	for (i = 0; i < size; i += FILL)
		memset_io(to + i, bytes[i], FILL);
}

/* Sixteen and 32 bytes with one instruction. */
#define COPY_WITH(step, load, store, ...)					\
do {										\
	size_t i;								\
										\
	for (i = 0; i < size; i += (step))					\
		asm volatile(".arch_extension simd\n"				\
			     load ", [%0]\n"					\
			     store ", [%1]\n"					\
			     : : "r" (from + i), "r" (to + i)			\
			     : __VA_ARGS__);					\
} while (0)

#define STORE_WITH(name, ...)							\
static void store_##name(void __iomem *to, const void *from, size_t size)	\
{										\
	COPY_WITH(__VA_ARGS__);							\
}

#define LOAD_WITH(name, ...)							\
static void load_##name(void *to, const void __iomem *from, size_t size)	\
{										\
	COPY_WITH(__VA_ARGS__);							\
}

STORE_WITH(stp, 16, "ldp x9, x10", "stp x9, x10", "x9", "x10", "memory")
LOAD_WITH(ldp, 16, "ldp x9, x10", "stp x9, x10", "x9", "x10", "memory")
/* The compiler does not use these registers (-mgeneral-regs-only). */
STORE_WITH(str_q, 16, "ldr q0", "str q0", "memory")
LOAD_WITH(ldr_q, 16, "ldr q0", "str q0", "memory")
STORE_WITH(stp_q, 32, "ldp q0, q1", "stp q0, q1", "memory")
LOAD_WITH(ldp_q, 32, "ldp q0, q1", "stp q0, q1", "memory")

/* What is for ordinary memory, and is used on memremap()ed memory. */
static void store_memcpy(void __iomem *to, const void *from, size_t size)
{
	memcpy((void __force *)to, from, size);
}

static void load_memcpy(void *to, const void __iomem *from, size_t size)
{
	memcpy(to, (const void __force *)from, size);
}

/* Of zeros it would be DC ZVA: see probe_zero(). */
static void store_memset(void __iomem *to, const void *from, size_t size)
{
	const u8 *bytes = from;
	size_t i;

	for (i = 0; i < size; i += FILL)
		memset((void __force *)to + i, bytes[i], FILL);
}

#define STORE(name, size)	{ #name, (size), .store = store_##name }
#define LOAD(name, size)	{ #name, (size), .load = load_##name }

const struct accessor accessors[] = {
	STORE(writel, 4),
	STORE(iowrite64_copy, 0),
	STORE(writeb, 1),
	STORE(writew, 2),
	STORE(writeq, 8),
	STORE(writeb_relaxed, 1),
	STORE(writew_relaxed, 2),
	STORE(writel_relaxed, 4),
	STORE(writeq_relaxed, 8),
	STORE(__raw_writeb, 1),
	STORE(__raw_writew, 2),
	STORE(__raw_writel, 4),
	STORE(__raw_writeq, 8),
	STORE(iowrite32_copy, 0),
	STORE(memcpy_toio, 0),
	{ "memset_io", .fill = FILL, .store = store_memset_io },
	STORE(stp, 16),
	{ "str_q", 16, .simd = true, .store = store_str_q },
	{ "stp_q", 32, .simd = true, .store = store_stp_q },
	LOAD(readb, 1),
	LOAD(readw, 2),
	LOAD(readl, 4),
	LOAD(readq, 8),
	LOAD(readb_relaxed, 1),
	LOAD(readw_relaxed, 2),
	LOAD(readl_relaxed, 4),
	LOAD(readq_relaxed, 8),
	LOAD(__raw_readb, 1),
	LOAD(__raw_readw, 2),
	LOAD(__raw_readl, 4),
	LOAD(__raw_readq, 8),
	LOAD(ioread32_copy, 0),
	LOAD(memcpy_fromio, 0),
	LOAD(ldp, 16),
	{ "ldr_q", 16, .simd = true, .load = load_ldr_q },
	{ "ldp_q", 32, .simd = true, .load = load_ldp_q },
	{ "memcpy", .plain = true, .store = store_memcpy },
	{ "memcpy_from", .plain = true, .load = load_memcpy },
	{ "memset", .fill = FILL, .plain = true, .store = store_memset },
};

const unsigned int nr_accessors = ARRAY_SIZE(accessors);
