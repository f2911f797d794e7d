// SPDX-License-Identifier: GPL-2.0-only
/* The accessors, and what the device may see of each: bytes, and accesses at most. */
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "transactions.h"

#define LINE	64	/* bytes: a cache line, what a NIC's doorbell page takes at once */

#define ACCESSOR(width, bytes)							\
static void run_write##width(void __iomem *io, void *data)			\
{										\
	write##width(*(u##bytes *)data, io);					\
}										\
static void run_write##width##_relaxed(void __iomem *io, void *data)		\
{										\
	write##width##_relaxed(*(u##bytes *)data, io);				\
}										\
static void run_raw_write##width(void __iomem *io, void *data)			\
{										\
	__raw_write##width(*(u##bytes *)data, io);				\
}										\
static void run_read##width(void __iomem *io, void *data)			\
{										\
	*(u##bytes *)data = read##width(io);					\
}										\
static void run_read##width##_relaxed(void __iomem *io, void *data)		\
{										\
	*(u##bytes *)data = read##width##_relaxed(io);				\
}										\
static void run_raw_read##width(void __iomem *io, void *data)			\
{										\
	*(u##bytes *)data = __raw_read##width(io);				\
}

ACCESSOR(b, 8)
ACCESSOR(w, 16)
ACCESSOR(l, 32)
ACCESSOR(q, 64)

static void run_iowrite32_copy(void __iomem *io, void *data)
{
	__iowrite32_copy(io, data, LINE / 4);
}

static void run_iowrite64_copy(void __iomem *io, void *data)
{
	__iowrite64_copy(io, data, LINE / 8);
}

static void run_memcpy_toio(void __iomem *io, void *data)
{
	memcpy_toio(io, data, LINE);
}

static void run_memcpy_fromio(void __iomem *io, void *data)
{
	memcpy_fromio(data, io, LINE);
}

static void run_memset_io(void __iomem *io, void *data)
{
	memset_io(io, 0, LINE);
}

static void run_store_pair(void __iomem *io, void *data)
{
	u64 *words = data;

	asm volatile("stp %0, %1, [%2]" : : "r" (words[0]), "r" (words[1]), "r" (io) : "memory");
}

static void run_load_pair(void __iomem *io, void *data)
{
	u64 *words = data;

	asm volatile("ldp %0, %1, [%2]" : "=&r" (words[0]), "=&r" (words[1]) : "r" (io) : "memory");
}

/* A buffer, then the register that tells the device of it. */
static void run_doorbell(void __iomem *io, void *data)
{
	__iowrite64_copy(io, data, LINE / 8);
	writel(*(u32 *)(data + LINE), io + LINE);
}

const struct accessor accessors[] = {
	{ "writeb", false, 1, 1, .run = run_writeb },
	{ "writeb_relaxed", false, 1, 1, .run = run_writeb_relaxed },
	{ "__raw_writeb", false, 1, 1, .run = run_raw_writeb },
	{ "readb", true, 1, 1, .run = run_readb },
	{ "readb_relaxed", true, 1, 1, .run = run_readb_relaxed },
	{ "__raw_readb", true, 1, 1, .run = run_raw_readb },
	{ "writew", false, 2, 1, .run = run_writew },
	{ "writew_relaxed", false, 2, 1, .run = run_writew_relaxed },
	{ "__raw_writew", false, 2, 1, .run = run_raw_writew },
	{ "readw", true, 2, 1, .run = run_readw },
	{ "readw_relaxed", true, 2, 1, .run = run_readw_relaxed },
	{ "__raw_readw", true, 2, 1, .run = run_raw_readw },
	{ "writel", false, 4, 1, .run = run_writel },
	{ "writel_relaxed", false, 4, 1, .run = run_writel_relaxed },
	{ "__raw_writel", false, 4, 1, .run = run_raw_writel },
	{ "readl", true, 4, 1, .run = run_readl },
	{ "readl_relaxed", true, 4, 1, .run = run_readl_relaxed },
	{ "__raw_readl", true, 4, 1, .run = run_raw_readl },
	{ "writeq", false, 8, 1, .run = run_writeq },
	{ "writeq_relaxed", false, 8, 1, .run = run_writeq_relaxed },
	{ "__raw_writeq", false, 8, 1, .run = run_raw_writeq },
	{ "readq", true, 8, 1, .run = run_readq },
	{ "readq_relaxed", true, 8, 1, .run = run_readq_relaxed },
	{ "__raw_readq", true, 8, 1, .run = run_raw_readq },
	{ "__iowrite32_copy",	false, LINE, LINE / 4,	.run = run_iowrite32_copy },
	{ "__iowrite64_copy",	false, LINE, LINE / 8,	.run = run_iowrite64_copy },
	{ "memcpy_toio",	false, LINE, LINE / 8,	.run = run_memcpy_toio },
	{ "memcpy_fromio",	true,  LINE, LINE / 8,	.run = run_memcpy_fromio },
	{ "memset_io",		false, LINE, LINE / 8,	.plain = true, .run = run_memset_io },
	{ "store_pair",		false, 16, 2,		.run = run_store_pair },
	{ "load_pair",		true,  16, 2,		.run = run_load_pair },
	{ "doorbell",		false, LINE + 4, LINE / 8 + 1, LINE, .run = run_doorbell },
};

const unsigned int nr_accessors = ARRAY_SIZE(accessors);
