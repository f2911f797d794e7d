# SPDX-License-Identifier: GPL-2.0-only
"""Names of the System registers and instructions that trapped accesses name by number.

Source: Arm ARM DDI 0487, C5 "The A64 System Instruction Class" (encodings op0, op1, CRn, CRm,
op2). Only what a KVM guest commonly traps on is listed; the generic name works for all.
"""

from __future__ import annotations

# (op0, op1, CRn, CRm, op2)
NAMES = {
    (1, 0, 7, 6, 2): "DC ISW",
    (1, 0, 7, 8, 0): "AT S1E1R",
    (1, 0, 7, 8, 1): "AT S1E1W",
    (1, 0, 7, 8, 2): "AT S1E0R",
    (1, 0, 7, 10, 2): "DC CSW",
    (1, 0, 7, 14, 2): "DC CISW",
    (1, 3, 7, 4, 1): "DC ZVA",
    (1, 3, 7, 5, 1): "IC IVAU",
    (1, 3, 7, 10, 1): "DC CVAC",
    (1, 3, 7, 11, 1): "DC CVAU",
    (1, 3, 7, 14, 1): "DC CIVAC",
    (1, 0, 8, 3, 0): "TLBI VMALLE1IS",
    (1, 0, 8, 7, 0): "TLBI VMALLE1",
    (2, 0, 0, 2, 2): "MDSCR_EL1",
    (2, 0, 1, 0, 4): "OSLAR_EL1",
    (2, 0, 1, 1, 4): "OSLSR_EL1",
    (2, 0, 1, 3, 4): "OSDLR_EL1",
    (3, 0, 0, 0, 0): "MIDR_EL1",
    (3, 0, 0, 0, 5): "MPIDR_EL1",
    (3, 0, 0, 0, 6): "REVIDR_EL1",
    (3, 0, 0, 4, 0): "ID_AA64PFR0_EL1",
    (3, 0, 0, 4, 1): "ID_AA64PFR1_EL1",
    (3, 0, 0, 4, 4): "ID_AA64ZFR0_EL1",
    (3, 0, 0, 4, 5): "ID_AA64SMFR0_EL1",
    (3, 0, 0, 5, 0): "ID_AA64DFR0_EL1",
    (3, 0, 0, 5, 1): "ID_AA64DFR1_EL1",
    (3, 0, 0, 6, 0): "ID_AA64ISAR0_EL1",
    (3, 0, 0, 6, 1): "ID_AA64ISAR1_EL1",
    (3, 0, 0, 6, 2): "ID_AA64ISAR2_EL1",
    (3, 0, 0, 7, 0): "ID_AA64MMFR0_EL1",
    (3, 0, 0, 7, 1): "ID_AA64MMFR1_EL1",
    (3, 0, 0, 7, 2): "ID_AA64MMFR2_EL1",
    (3, 0, 1, 0, 0): "SCTLR_EL1",
    (3, 0, 1, 0, 1): "ACTLR_EL1",
    (3, 0, 1, 0, 2): "CPACR_EL1",
    (3, 0, 2, 0, 0): "TTBR0_EL1",
    (3, 0, 2, 0, 1): "TTBR1_EL1",
    (3, 0, 2, 0, 2): "TCR_EL1",
    (3, 0, 2, 0, 3): "TCR2_EL1",
    (3, 0, 4, 6, 0): "ICC_PMR_EL1",
    (3, 0, 5, 1, 0): "AFSR0_EL1",
    (3, 0, 5, 1, 1): "AFSR1_EL1",
    (3, 0, 5, 2, 0): "ESR_EL1",
    (3, 0, 6, 0, 0): "FAR_EL1",
    (3, 0, 7, 4, 0): "PAR_EL1",
    (3, 0, 10, 2, 0): "MAIR_EL1",
    (3, 0, 10, 3, 0): "AMAIR_EL1",
    (3, 0, 12, 0, 0): "VBAR_EL1",
    (3, 0, 12, 1, 1): "DISR_EL1",
    (3, 0, 12, 11, 5): "ICC_SGI1R_EL1",
    (3, 0, 12, 12, 0): "ICC_IAR1_EL1",
    (3, 0, 12, 12, 1): "ICC_EOIR1_EL1",
    (3, 0, 12, 12, 5): "ICC_SRE_EL1",
    (3, 0, 13, 0, 1): "CONTEXTIDR_EL1",
    (3, 3, 0, 0, 1): "CTR_EL0",
    (3, 3, 9, 12, 0): "PMCR_EL0",
    (3, 3, 9, 13, 0): "PMCCNTR_EL0",
    (3, 3, 14, 0, 2): "CNTVCT_EL0",
    (3, 3, 14, 2, 0): "CNTP_TVAL_EL0",
    (3, 3, 14, 2, 1): "CNTP_CTL_EL0",
    (3, 3, 14, 2, 2): "CNTP_CVAL_EL0",
    (3, 3, 14, 3, 1): "CNTV_CTL_EL0",
}


def sysreg_name(op0: int, op1: int, crn: int, crm: int, op2: int) -> str:
    """Return a register's name, or `S<op0>_<op1>_C<n>_C<m>_<op2>` when the Arm ARM gives none."""
    generic = f"S{op0}_{op1}_C{crn}_C{crm}_{op2}"
    return NAMES.get((op0, op1, crn, crm, op2), generic)
