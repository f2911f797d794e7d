# SPDX-License-Identifier: GPL-2.0-only
"""What all tests share."""

from __future__ import annotations

import signal

# Started by nohup, or by what works like it, the tests and all that they start would ignore it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
