# SPDX-License-Identifier: GPL-2.0-only
"""How the statuses look in a terminal."""

from harness.results.records import Status

STYLES = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.ERROR: "bold magenta",
    Status.MISS: "bold magenta",
    Status.SKIP: "yellow",
    Status.DONE: "",
}
