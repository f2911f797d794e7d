# SPDX-License-Identifier: GPL-2.0-only
"""L1: a host under test that is a guest of QEMU."""
