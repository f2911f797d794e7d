/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef S2EVAL_STAGE2_TABLES_MODULE_H
#define S2EVAL_STAGE2_TABLES_MODULE_H

#include <linux/kvm_host.h>

#include "stage2-tables.h"

/*
 * Both return 0, or why KVM has no such stage 2: ENXIO for a number that is too
 * high or a VM without tables yet, EOPNOTSUPP where the hypervisor at EL2 keeps
 * them from the host (pKVM).
 */
int tables_root(struct kvm *kvm, struct tables_root *root);
int tables_path(struct kvm *kvm, struct tables_path *path);

/* Return 0, or EBUSY while the vCPU runs: its registers are then in the CPU. */
int tables_vcpu(struct kvm_vcpu *vcpu, struct tables_vcpu *regs);

#endif /* S2EVAL_STAGE2_TABLES_MODULE_H */
