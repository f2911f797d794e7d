# SPDX-License-Identifier: GPL-2.0-only
"""A run as one HTML file that needs no network and no other file, and works without scripts.

Texts of a guest are cleaned, then escaped by the template (autoescape); should both fail, the
page's policy lets no script run but the one whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.base.text import clean
from harness.report.page.model import page_of
from harness.report.page.trends import Trends
from harness.report.view.matrix import ROWS
from harness.report.view.words import words
from harness.results.records import Run, Status

NAME = "report.html"
OPEN_FAILURES = 20  # failures that stand open
OPEN_TABLES = 4  # tables of cells side by side that stand open


def render(run: Run, folder: Path | None = None, trends: Trends | None = None) -> str:
    """Return the page of `run`, whose logs are in `folder`; always the same text for one run."""
    style, script = _data("style.css"), _data("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page_of(run, folder, trends or Trends([])),
            style=Markup(style),  # noqa: S704 - files of this package
            script=Markup(script),  # noqa: S704
            digest=digest,
            statuses=[status.value for status in Status],
            rows=ROWS,
            open_failures=OPEN_FAILURES,
            open_tables=OPEN_TABLES,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report.page", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["clean"] = clean
    environment.filters["words"] = words
    environment.filters["drawn"] = Markup
    return environment


def _data(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
