# SPDX-License-Identifier: GPL-2.0-only
# L1 resets the device that its guest is using.
echo 1 > /sys/bus/pci/devices/$BDF/reset
