# SPDX-License-Identifier: GPL-2.0-only
"""s2eval: what a kernel patch does to device memory in real KVM guests on arm64."""
