# SPDX-License-Identifier: GPL-2.0-only
"""Series as mails: files, mailboxes, archives, folders, and the public archive's addresses."""
