# SPDX-License-Identifier: GPL-2.0-only
# The device stops to answer: PCI_COMMAND, past vfio-pci, of which the guest knows nothing.
printf '\000\000' | dd of=/sys/bus/pci/devices/$BDF/config bs=2 seek=2 count=1 conv=notrunc 2>&1
