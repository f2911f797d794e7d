# SPDX-License-Identifier: GPL-2.0-only
"""Lab hosts: arm64 machines reached by SSH, with a console and a power switch behind commands."""
