# SPDX-License-Identifier: GPL-2.0-only
# L1 takes the device away. vfio-pci waits for its user, so that this ends when the guest has.
(echo $BDF > /sys/bus/pci/drivers/vfio-pci/unbind) < /dev/null > /dev/null 2>&1 &
