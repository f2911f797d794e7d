/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that the guest is: vectors and payloads at EL1, one page of code. The VMM sets the
 * registers, so a payload is its own instructions alone.
 *
 * x0 is the address under test, x1 what is stored, x2 the page that no memslot has: a store to
 * it ends KVM_RUN and says how the payload ended. What was loaded is in x3, ESR_EL1 and FAR_EL1
 * of an exception in x4 and x5. x11 is the memory that poll.h shares with the VMM. Afterwards
 * the guest spins at guest_park, where it can be audited.
 */
#ifndef VMA_PAYLOAD_H
#define VMA_PAYLOAD_H

#define REPORT_DONE	0	/* offsets in the page of x2 */
#define REPORT_FAULT	8
#define REPORT_OTHER	16	/* SError, an interrupt */

/* Name, instructions; each goes on at its end. */
#define PAYLOADS(X) \
	X(load,			"ldr x3, [x0]\n") \
	X(store,		"str x1, [x0]\n") \
	X(unaligned_load,	"ldur x3, [x0, #1]\n") \
	X(unaligned_store,	"stur x1, [x0, #1]\n") \
	X(pair_load,		"ldp x3, x9, [x0]\n") \
	X(pair_store,		"stp x1, x1, [x0]\n") \
	X(exclusive,		"mov x9, #64\n" \
				"1: ldxr x3, [x0]\n" \
				"stxr w10, x1, [x0]\n" \
				"cbz w10, 2f\n" \
				"sub x9, x9, #1\n" \
				"cbnz x9, 1b\n" \
				"mov x3, #-1\n"	/* never stored */ \
				"2:\n") \
	X(atomic,		".arch_extension lse\n" \
				"swp x1, x3, [x0]\n" \
				".arch_extension nolse\n") \
	X(dc_zva,		"dc zva, x0\n") \
	X(execute,		"blr x0\n") \
	X(tag_store,		".inst 0xd9200800\n")	/* stg x0, [x0]: older assemblers lack it */ \
	X(poll,			"1: ldar x9, [x11]\n"	/* the rounds of poll.h, until the last one */ \
				"ldr x3, [x0]\n" \
				"ldr x10, [x0, #4096]\n"	/* keeps the table that both are in */ \
				"str x3, [x11, #8]\n" \
				"dmb ish\n" \
				"str x9, [x11, #16]\n" \
				"tbz x9, #63, 1b\n")

#define PAYLOAD_CODE(name, code) \
	".global guest_" #name "\n" \
	"guest_" #name ":\n" code \
	"b guest_done\n"

asm(".pushsection .rodata\n"
    ".balign 4096\n"
    ".global guest_code\n"
    "guest_code:\n"
    ".space 0x200\n"		/* the vectors of SP_EL0, which nobody uses */
    "mrs x4, esr_el1\n"		/* a synchronous exception from EL1 itself */
    "mrs x5, far_el1\n"
    "str wzr, [x2, #8]\n"
    "b guest_park\n"
    ".balign 0x80\n"
    ".rept 3\n"			/* IRQ, FIQ, SError */
    "str wzr, [x2, #16]\n"
    "b guest_park\n"
    ".balign 0x80\n"
    ".endr\n"
    ".balign 0x800\n"
    PAYLOADS(PAYLOAD_CODE)
    "guest_done:\n"
    "str wzr, [x2]\n"
    ".global guest_park\n"
    "guest_park:\n"
    "b guest_park\n"
    ".balign 4096\n"
    ".popsection\n");

extern const char guest_code[], guest_park[];
#define PAYLOAD_SYMBOL(name, code) extern const char guest_##name[];
PAYLOADS(PAYLOAD_SYMBOL)

#define RETURN_INSTRUCTION 0xd65f03c0u	/* ret: what `execute` finds at its address */

#endif /* VMA_PAYLOAD_H */
