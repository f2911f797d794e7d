# SPDX-License-Identifier: GPL-2.0-only
"""The real SSH server of tests/unit/hosts/lab, for the commands that use it."""

from tests.unit.hosts.lab.conftest import link, real_sshd, server

__all__ = ["link", "real_sshd", "server"]
