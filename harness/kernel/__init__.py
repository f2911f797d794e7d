# SPDX-License-Identifier: GPL-2.0-only
"""Kernels: source, series, config, build and the store of finished builds."""
