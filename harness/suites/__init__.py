# SPDX-License-Identifier: GPL-2.0-only
"""What a suite is and what it says: KTAP, facts, observations."""
