# SPDX-License-Identifier: GPL-2.0-only
# What KVM has counted for its one guest: accesses that L1's QEMU emulated, and those KVM did.
cd /sys/kernel/debug/kvm/*-*/ || exit 1
echo "$(cat mmio_exit_user) $(cat mmio_exit_kernel)"
