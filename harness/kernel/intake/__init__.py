# SPDX-License-Identifier: GPL-2.0-only
"""A series as people have it: files, mailboxes, quilt folders, commits."""
