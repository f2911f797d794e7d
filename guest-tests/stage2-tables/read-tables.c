// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints what a table walk for a guest needs: registers of a vCPU, and the
 * descriptors on the way to the given addresses, from /dev/stage2-tables.
 *
 *   read-tables [-p PID] [-n] TARGET...
 *
 * A target is v:ADDRESS (a VA) or i:ADDRESS (an IPA), or v: or i: with a
 * register and an offset (v:VBAR_EL1+0x0). -n reads the guest of the guest.
 * The VMM is held still meanwhile. The lines are described in README.md.
 */
#include <stdint.h>
#include <sys/ioctl.h>

#include "stage2-tables.h"
#include "vmm.h"

#define NO_TABLES 3 /* the exit code on a host whose tables cannot be read at all */
#define STOP_MS 1000 /* for the vCPUs to leave the guest */
#define PAGE_MASK_4K (~0xfffULL)
#define BADDR 0x0000fffffffffffeULL
#define GUEST_EL(pstate) ((pstate) >> 2 & 3)
#define HCR_VM 1ULL
#define HCR_TGE (1ULL << 27)
#define CNP 1ULL

static struct vmm vmm;
static int device;
static uint32_t mmu; /* the stage 2 that is read */

static uint64_t bits(uint64_t value, int high, int low)
{
	return value >> low & (~0ULL >> (63 - (high - low)));
}

/* Print the descriptors on the way to an IPA; return whether memory is there. */
static int print_path(uint32_t of_mmu, uint64_t ipa, uint64_t *value)
{
	struct tables_path path = { .vm = vmm.vm, .mmu = of_mmu, .ipa = ipa };

	if (ioctl(device, TABLES_PATH, &path))
		err(1, "the way to IPA %#llx", (unsigned long long)ipa);
	for (uint32_t i = 0; i < path.count; i++)
		printf("entry mmu=%u address=%#llx value=%#llx\n", of_mmu,
		       (unsigned long long)path.entry[i].address,
		       (unsigned long long)path.entry[i].descriptor);
	if (path.has_value)
		printf("memory mmu=%u ipa=%#llx address=%#llx value=%#llx\n", of_mmu,
		       (unsigned long long)ipa, (unsigned long long)path.value.address,
		       (unsigned long long)path.value.descriptor);
	*value = path.value.descriptor;
	return path.has_value;
}

/*
 * Print what stage 1 has on the way to a VA. This is only so that one call is
 * enough: what it leaves out (52-bit addresses) the harness asks for in another.
 */
static void print_stage1(const struct tables_vcpu *regs, uint64_t va)
{
	int upper = bits(va, 55, 55);
	uint64_t table = upper ? regs->ttbr1_el1 : regs->ttbr0_el1;
	int size = 64 - (upper ? bits(regs->tcr_el1, 21, 16) : bits(regs->tcr_el1, 5, 0));
	int granule = upper ? bits(regs->tcr_el1, 31, 30) : bits(regs->tcr_el1, 15, 14);
	int page_shift = upper ? (granule == 1 ? 14 : granule == 3 ? 16 : 12) :
				 (granule == 2 ? 14 : granule == 1 ? 16 : 12);
	int stride = page_shift - 3, shift = page_shift;
	uint64_t ipa, descriptor;

	if (!(regs->sctlr_el1 & 1)) {
		print_path(mmu, va & ~7ULL, &descriptor);
		return;
	}
	while (size > shift + stride)
		shift += stride;
	if (size <= shift)
		return;
	table &= BADDR;
	for (int high = size - 1;; high = shift - 1, shift -= stride) {
		ipa = table + 8 * bits(va, high, shift);
		if (!print_path(mmu, ipa, &descriptor) || !(descriptor & 1))
			return;
		table = descriptor & 0x0000ffffffffffffULL & (~0ULL << page_shift);
		if (shift == page_shift || !(descriptor & 2))
			break;
	}
	ipa = (table & (~0ULL << shift)) | (va & ~(~0ULL << shift));
	print_path(mmu, ipa & ~7ULL, &descriptor);
}

static uint64_t address_of(const struct tables_vcpu *regs, const char *text)
{
	static const char *const names[] = { "VBAR_EL1", "TTBR0_EL1", "TTBR1_EL1" };
	const uint64_t values[] = { regs->vbar_el1, regs->ttbr0_el1 & BADDR,
				    regs->ttbr1_el1 & BADDR };
	char *end;
	uint64_t value;

	for (unsigned int i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		size_t length = strlen(names[i]);

		if (!strncmp(text, names[i], length) && text[length] == '+')
			return (values[i] & PAGE_MASK_4K) + strtoull(text + length + 1, NULL, 0);
	}
	value = strtoull(text, &end, 0);
	if (end == text || *end)
		errx(1, "%s: no address", text);
	return value;
}

/* Read the registers of a vCPU, once it has left the guest. */
static void read_vcpu(int number, struct tables_vcpu *regs)
{
	struct timespec pause = { .tv_nsec = 200000 };

	for (int left = STOP_MS * 5; left; left--) {
		memset(regs, 0, sizeof(*regs));
		regs->vcpu = vmm.vcpu[number];
		if (!ioctl(device, TABLES_VCPU, regs))
			return;
		if (errno != EBUSY)
			err(1, "vCPU %d", number);
		nanosleep(&pause, NULL);
	}
	errx(1, "vCPU %d did not leave the guest in %d ms", number, STOP_MS);
}

/* Return whether the guest, or with `nested` its guest, is what the vCPU runs. */
static int fits(const struct tables_vcpu *regs, int nested)
{
	int in_nested = regs->has_el2 && GUEST_EL(regs->pstate) < 2 &&
			(regs->guest_hcr_el2 & HCR_VM) && !(regs->guest_hcr_el2 & HCR_TGE);

	return nested == in_nested;
}

/* Choose a vCPU, one at EL1 where there is one; print its registers and root. */
static void choose(struct tables_vcpu *best, int nested)
{
	struct tables_root root = { .vm = vmm.vm };
	int chosen = -1, best_el = 0;

	for (int number = 0; number < vmm.vcpus; number++) {
		struct tables_vcpu regs;
		int el;

		if (!vmm.vcpu[number])
			continue;
		read_vcpu(number, &regs);
		el = GUEST_EL(regs.pstate) == 0 ? 0 : 1;
		if (!fits(&regs, nested) || (chosen >= 0 && el <= best_el))
			continue;
		chosen = number;
		best_el = el;
		*best = regs;
	}
	if (chosen < 0)
		errx(1, nested ? "no vCPU runs the guest of the guest" : "no vCPU runs the guest");
	if (ioctl(device, TABLES_ROOT, &root)) {
		if (errno == EOPNOTSUPP)
			errx(NO_TABLES, "EL2 keeps the tables of this VM from its host (pKVM)");
		err(1, "the VM's stage 2");
	}
	for (uint32_t number = 1; nested && !mmu && number < root.mmus; number++) {
		struct tables_root shadow = { .vm = vmm.vm, .mmu = number };

		if (!ioctl(device, TABLES_ROOT, &shadow) && shadow.in_use &&
		    shadow.guest_vttbr == (best->guest_vttbr_el2 & ~CNP)) {
			mmu = number;
			root = shadow;
		}
	}
	if (nested && !mmu)
		errx(1, "KVM has no shadow for VTTBR_EL2 %#llx of the guest",
		     (unsigned long long)best->guest_vttbr_el2);
	printf("vm pid=%d mmu=%u mmus=%u vttbr_el2=%#llx vtcr_el2=%#llx\n", vmm.pid, mmu,
	       root.mmus, (unsigned long long)root.vttbr, (unsigned long long)root.vtcr);
	printf("vcpu number=%d", chosen);
#define PRINT(name) printf(" " #name "=%#llx", (unsigned long long)best->name)
	printf(" cpsr=%#llx", (unsigned long long)best->pstate);
	PRINT(hcr_el2), PRINT(ttbr0_el1), PRINT(ttbr1_el1), PRINT(tcr_el1), PRINT(tcr2_el1);
	PRINT(mair_el1), PRINT(sctlr_el1), PRINT(vbar_el1), PRINT(guest_hcr_el2);
	PRINT(guest_vttbr_el2), PRINT(guest_vtcr_el2);
	PRINT(id_aa64mmfr0_el1), PRINT(id_aa64mmfr1_el1);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct tables_vcpu regs = { 0 };
	struct hold hold;
	uint64_t unused;
	int pid = 0, nested = 0, option;

	while ((option = getopt(argc, argv, "p:n")) > 0) {
		if (option == 'p')
			pid = atoi(optarg);
		else if (option == 'n')
			nested = 1;
		else
			return 2;
	}
	device = open(TABLES_DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		err(1, TABLES_DEVICE);
	open_vmm(&vmm, pid ? pid : find_vmm());
	hold = hold_still(&vmm);
	choose(&regs, nested);
	for (int i = optind; i < argc; i++) {
		uint64_t address = address_of(&regs, argv[i][0] ? argv[i] + 2 : "");

		if (!strncmp(argv[i], "v:", 2))
			print_stage1(&regs, address);
		else if (!strncmp(argv[i], "i:", 2))
			print_path(mmu, address & ~7ULL, &unused);
		else if (!strncmp(argv[i], "g:", 2)) /* an IPA of the guest, while -n reads its guest */
			print_path(0, address & ~7ULL, &unused);
		else
			errx(1, "%s: no target", argv[i]);
	}
	printf("held ns=%lld\n", let_go(&vmm, &hold));
	return 0;
}
