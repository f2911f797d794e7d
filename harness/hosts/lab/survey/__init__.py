# SPDX-License-Identifier: GPL-2.0-only
"""What a lab host is and has, asked over the link, and what of that a run needs."""
