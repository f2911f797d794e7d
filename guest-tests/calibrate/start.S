/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry, exception vectors and the small steps that are run one at a time at EL1.
 *
 * Entered at EL2, the C code stays there as a monitor and drops to EL1 for single
 * accesses; entered at EL1 it makes the accesses itself.  Either way a step ends with
 * SVC, or with the fault that is wanted, and comes back to run_step()'s caller.
 */

#define DAIF_EL1H	0x3c5		/* SPSR: EL1 with SP_EL1, all interrupts masked */
#define EC_SVC64	0x15
#define EC_HVC64	0x16

#define HCR_RW		(1 << 31)	/* EL1 is AArch64 */
#define HCR_E2H_BIT	34

/* Memory types in the order of enum s1_type: nGnRnE nGnRE nGRE GRE NC WT WB. */
#define MAIR		0x00ffbb440c080400
#define ATTR_NGNRE	1
#define ATTR_WB		6

/* 39-bit addresses, 4K granule, tables walked as inner shareable write-back. */
#define TCR_COMMON	(25 | 1 << 8 | 1 << 10 | 3 << 12)
#define TCR_EL1_EPD1	(1 << 23)	/* no walks of TTBR1_EL1 */
#define TCR_EL2_RES1	(1 << 31 | 1 << 23)

#define SCTLR_M_C_I	(1 << 0 | 1 << 2 | 1 << 12)
#define SCTLR_EL1_RES1	0x30d00800	/* A (alignment check of everything) stays 0 */
#define SCTLR_EL2_RES1	0x30c50830

/* Level 1 block: AF, inner shareable. */
#define BLOCK(attr)	(1 << 10 | 3 << 8 | (attr) << 2 | 1)
#define EL2_AP1		(1 << 6)	/* AP[1] is RES1 where there is one VA range */
#define XN_ALL		(3 << 53)	/* UXN and PXN */
#define XN_EL2		(1 << 54)
#define TABLE		3

.macro load_addr reg, symbol
	adrp	\reg, \symbol
	add	\reg, \reg, :lo12:\symbol
.endm

/* \reg = the physical address size field of TCR, at most 48 bits. */
.macro pa_size reg, tmp
	mrs	\reg, id_aa64mmfr0_el1
	and	\reg, \reg, #0xf
	mov	\tmp, #5
	cmp	\reg, \tmp
	csel	\reg, \reg, \tmp, lo
.endm

	.section .text.start, "ax"
	.global	_start
_start:
	msr	spsel, #1
	msr	daifset, #0xf
	load_addr x0, stack_top
	mov	sp, x0

	/* The EL1 regime is the same whoever runs in it. */
	ldr	x0, =MAIR
	msr	mair_el1, x0
	pa_size	x0, x1
	ldr	x1, =(TCR_COMMON | TCR_EL1_EPD1)
	orr	x1, x1, x0, lsl #32
	msr	tcr_el1, x1
	load_addr x1, el1_tables
	msr	ttbr0_el1, x1
	ldr	x19, =(SCTLR_EL1_RES1 | SCTLR_M_C_I)

	mrs	x20, currentel
	lsr	x20, x20, #2
	cmp	x20, #2
	b.eq	enter_at_el2
	cmp	x20, #1
	b.ne	park			/* EL3: not a machine this guest is for */

	load_addr x0, el1_vectors
	msr	vbar_el1, x0
	tlbi	vmalle1
	dsb	nsh
	isb
	msr	sctlr_el1, x19
	isb
	b	enter_c

enter_at_el2:
	ldr	x0, =HCR_RW
	msr	hcr_el2, x0
	isb
	mrs	x0, hcr_el2
	tbnz	x0, #HCR_E2H_BIT, enter_c	/* main() says that E2H is stuck at 1 */
	mov	x0, #0x33ff		/* CPTR_EL2 RES1, nothing trapped */
	msr	cptr_el2, x0
	load_addr x0, step_vectors
	msr	vbar_el1, x0
	msr	sctlr_el1, x19
	load_addr x0, el2_vectors
	msr	vbar_el2, x0
	ldr	x0, =MAIR
	msr	mair_el2, x0
	pa_size	x0, x1
	ldr	x1, =(TCR_COMMON | TCR_EL2_RES1)
	orr	x1, x1, x0, lsl #16
	msr	tcr_el2, x1
	load_addr x1, el2_tables
	msr	ttbr0_el2, x1
	tlbi	alle2
	tlbi	alle1
	dsb	nsh
	isb
	ldr	x0, =(SCTLR_EL2_RES1 | SCTLR_M_C_I)
	msr	sctlr_el2, x0
	isb
enter_c:
	mov	x0, x20
	bl	main			/* does not return */
park:
	wfi
	b	park

	.text

/*
 * void run_step(step, va, struct outcome *, at_el2): runs step(va) at EL1.
 */
	.global	run_step
run_step:
	stp	x29, x30, [sp, #-112]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	str	x2, [sp, #96]
	load_addr x4, step_sp
	mov	x5, sp
	str	x5, [x4]
	mov	x4, x0
	mov	x0, x1
	cbnz	x3, 1f
	br	x4
1:	msr	elr_el2, x4
	mov	x4, #DAIF_EL1H
	msr	spsr_el2, x4
	eret

/* Back from a step: x0 value, x2 syndrome, x3 the EL that took the fault or 0. */
step_done:
	load_addr x4, step_sp
	str	xzr, [x4]
	mov	sp, x5
	ldr	x4, [sp, #96]
	stp	x0, x2, [x4]
	str	x3, [x4, #16]
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #112
	ret

/* The steps. */
	.global	step_load, step_call
step_load:
	ldr	x0, [x0]
	svc	#0
step_call:
	blr	x0
	svc	#0

/* An exception from a step; anything else goes on to unexpected(). */
.macro check_step slot
	load_addr x5, step_sp
	ldr	x5, [x5]
	mov	x28, #\slot
	cbz	x5, unexpected_exception
.endm

from_el1:				/* running at EL1 alone */
	check_step 4
	mrs	x2, esr_el1
	mov	x3, #1
	b	svc_is_no_fault

from_lower:				/* at EL2, the step ran at EL1 */
	check_step 8
	mrs	x2, esr_el2
	mov	x3, #2
	lsr	x4, x2, #26
	cmp	x4, #EC_HVC64
	b.ne	step_done
	mov	x2, x1			/* step_vectors pass on what EL1 took */
	mov	x3, #1
svc_is_no_fault:
	lsr	x4, x2, #26
	cmp	x4, #EC_SVC64
	csel	x3, xzr, x3, eq
	b	step_done

unexpected_exception:
	load_addr x0, stack_top
	mov	sp, x0
	mov	x0, x28			/* the vector's slot, 0-15 */
	mrs	x4, currentel
	tbnz	x4, #3, 1f
	mrs	x1, esr_el1
	mrs	x2, elr_el1
	mrs	x3, far_el1
	b	unexpected
1:	mrs	x1, esr_el2
	mrs	x2, elr_el2
	mrs	x3, far_el2
	b	unexpected

.macro slot n, wanted, handler
	.balign	128
	.if	\n == \wanted
	b	\handler
	.else
	mov	x28, #\n
	b	unexpected_exception
	.endif
.endm

.macro vectors name, wanted, handler
	.balign	2048
\name:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	slot	\n, \wanted, \handler
	.endr
.endm

	vectors	el1_vectors, 4, from_el1
	vectors	el2_vectors, 8, from_lower

	.balign	2048
step_vectors:				/* EL1's while the monitor is at EL2 */
	.rept	16
	.balign	128
	mrs	x1, esr_el1
	hvc	#0
	.endr

	.data
	.global	step_sp
	.balign	8
step_sp:
	.quad	0

/*
 * The tables the MMU is turned on with are part of the image, so that nothing is
 * written while the caches are off: 0-1 GiB devices, 1-2 GiB RAM, and at EL1 from
 * 2 GiB on the window that main.c fills.
 */
	.balign	4096
el1_tables:
	.quad	BLOCK(ATTR_NGNRE) | XN_ALL
	.quad	0x40000000 | BLOCK(ATTR_WB)
	.quad	window_l2 + TABLE
	.balign	4096
el2_tables:
	.quad	BLOCK(ATTR_NGNRE) | EL2_AP1 | XN_EL2
	.quad	0x40000000 | BLOCK(ATTR_WB) | EL2_AP1
	.balign	4096

/* The page behind every mapping of the window: bytes to load, a function to call. */
	.global	target_page
target_page:
	.byte	0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87
	.byte	0x98, 0xa9, 0xba, 0xcb, 0xdc, 0xed, 0xfe, 0x0f
	.balign	256
	mov	w0, #0x5a5a
	ret
	.balign	4096

	.bss
	.balign	16
	.skip	16384
stack_top:
