// SPDX-License-Identifier: GPL-2.0-only
/* The registers of a vCPU that is not running: KVM has all of them in memory. */
#include <asm/sysreg.h>

#include "compat.h"
#include "module.h"

int tables_vcpu(struct kvm_vcpu *vcpu, struct tables_vcpu *regs)
{
	struct kvm_cpu_context *context = &vcpu->arch.ctxt;

	/* KVM_RUN holds it from before the registers are loaded until they are back. */
	if (!mutex_trylock(&vcpu->mutex))
		return -EBUSY;
	regs->pstate = context->regs.pstate;
	regs->hcr_el2 = vcpu->arch.hcr_el2;
	regs->ttbr0_el1 = ctxt_sys_reg(context, TTBR0_EL1);
	regs->ttbr1_el1 = ctxt_sys_reg(context, TTBR1_EL1);
	regs->tcr_el1 = ctxt_sys_reg(context, TCR_EL1);
	regs->mair_el1 = ctxt_sys_reg(context, MAIR_EL1);
	regs->sctlr_el1 = ctxt_sys_reg(context, SCTLR_EL1);
	regs->vbar_el1 = ctxt_sys_reg(context, VBAR_EL1);
	regs->tcr2_el1 = 0;
	regs->has_el2 = 0;
#if HAS_SHADOWS
	regs->tcr2_el1 = ctxt_sys_reg(context, TCR2_EL1);
	if (has_el2(vcpu)) {
		regs->has_el2 = 1;
		regs->guest_hcr_el2 = ctxt_sys_reg(context, HCR_EL2);
		regs->guest_vttbr_el2 = ctxt_sys_reg(context, VTTBR_EL2);
		regs->guest_vtcr_el2 = ctxt_sys_reg(context, VTCR_EL2);
	}
#endif
	mutex_unlock(&vcpu->mutex);
	regs->id_aa64mmfr0_el1 = read_sysreg(id_aa64mmfr0_el1);
	regs->id_aa64mmfr1_el1 = read_sysreg(id_aa64mmfr1_el1);
	return 0;
}
