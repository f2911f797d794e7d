# SPDX-License-Identifier: GPL-2.0-only
"""What each stage lets EL1 and EL0 do. Reported, never judged: a walk does not fault on them.

Source: Arm ARM DDI 0487 K.a, D8.4 "Memory access control" (direct permissions); pseudocode
AArch64.S1DirectBasePermissions, AArch64.S2DirectBasePermissions. PSTATE.PAN is not applied: it
belongs to an access, not to a mapping.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AccessRights:
    """What one Exception level may do, as far as one stage is concerned."""

    read: bool
    write: bool
    execute: bool

    @property
    def label(self) -> str:
        """`rwx` with `-` for what is not allowed."""
        flags = zip("rwx", (self.read, self.write, self.execute), strict=True)
        return "".join(letter if allowed else "-" for letter, allowed in flags)


def stage1_access(
    ap: int,
    *,
    uxn: bool,
    pxn: bool,
    ap_table: int = 0,
    uxn_table: bool = False,
    pxn_table: bool = False,
    wxn: bool = False,
) -> tuple[AccessRights, AccessRights]:
    """Return EL1's and EL0's access at stage 1 of the EL1&0 regime.

    `ap` is AP[2:1] (bit 0: EL0 too, bit 1: read-only), `ap_table` the OR of APTable[1:0] of all
    tables on the way (bit 0: not EL0, bit 1: read-only), `wxn` SCTLR_EL1.WXN. What EL0 can write
    EL1 never executes. Arm ARM D8.4.1.
    """
    user = bool(ap & 0b01) and not ap_table & 0b01
    writable = not (ap | ap_table) & 0b10
    el0_write = user and writable
    el1_execute = not (pxn or pxn_table or el0_write or (wxn and writable))
    el0_execute = not (uxn or uxn_table or (wxn and el0_write))
    return AccessRights(True, writable, el1_execute), AccessRights(user, el0_write, el0_execute)


def stage2_access(s2ap: int, xn: int, *, xnx: bool = True) -> tuple[AccessRights, AccessRights]:
    """Return EL1's and EL0's access at stage 2.

    `s2ap` is S2AP[1:0] (bit 0: read, bit 1: write). `xn` is XN[1:0]: 0b00 both execute, 0b01 EL0
    only, 0b10 neither, 0b11 EL1 only; without FEAT_XNX only bit 1 counts. Arm ARM D8.4.2.
    """
    read, write = bool(s2ap & 0b01), bool(s2ap & 0b10)
    effective = xn if xnx else xn & 0b10
    el1 = AccessRights(read, write, effective in (0b00, 0b11))
    el0 = AccessRights(read, write, effective in (0b00, 0b01))
    return el1, el0
