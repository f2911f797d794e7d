# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's options from a template: filled once, cached, and completed for each guest.

Jinja2 takes 30 ms to import and 10 ms a template, which a guest would wait for. So a template is
filled with placeholders for what differs from guest to guest (paths, channels, the kernel command
line), and the result is cached: `@{image}`, or `@{image,}` inside of a QEMU option, where a comma
is doubled. A channel's is `@{chardev:console}`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel

from harness.base import paths
from harness.base.errors import UsageError
from harness.base.files import write_atomic
from harness.base.json_text import json_text

PLACEHOLDER = re.compile(r"@\{([\w:.]+)(,?)\}")
CHANNEL = "chardev:"


def fill(
    template: str,
    machine: BaseModel,
    values: Mapping[str, str],
    chardev: Callable[[str], str],
    *,
    control: bool,
) -> list[str]:
    """Return the arguments that `template` gives. Raise UsageError when it cannot be filled.

    A template may test whether one of the `values` is empty, and cannot see the value itself.
    """

    def value(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        text = chardev(name.removeprefix(CHANNEL)) if name.startswith(CHANNEL) else values[name]
        return text.replace(",", ",,") if placeholder[2] else text

    placeholders = {name: f"@{{{name}}}" if text else "" for name, text in values.items()}
    arguments = _with_placeholders(template, machine, placeholders, control=control)
    return [PLACEHOLDER.sub(value, argument) for argument in arguments]


def _with_placeholders(
    template: str, machine: BaseModel, names: Mapping[str, str], *, control: bool
) -> list[str]:
    """Return the arguments with placeholders, from the cache or as Jinja2 gives them."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name, path in paths.TEMPLATES.files().items():
        digest.update(name.encode() + b"\0" + path.read_bytes())
    digest.update(json.dumps([template, json_text(machine), names, control]).encode())
    cached = paths.cache_dir("options") / f"{digest.hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError):
        return [str(argument) for argument in json.loads(cached.read_bytes())]
    arguments = _filled(template, machine, names, control=control)
    with contextlib.suppress(OSError):  # the next guest fills the template again
        write_atomic(cached, json.dumps(arguments))
    return arguments


def _filled(
    template: str, machine: BaseModel, names: Mapping[str, str], *, control: bool
) -> list[str]:
    from jinja2 import (  # noqa: PLC0415 - see above
        Environment,
        FileSystemLoader,
        StrictUndefined,
        TemplateError,
    )

    env = Environment(  # noqa: S701 - command lines, not HTML; values are quoted by filters
        loader=FileSystemLoader(paths.TEMPLATES.folders()),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    env.filters["arg"] = lambda value: shlex.quote(str(value))
    env.filters["value"] = _option_value
    env.filters["render"] = lambda text: env.from_string(text).render()
    env.globals.update(names, machine=machine, control=control, chardev=_channel)
    try:
        text = env.get_template(template).render()
    except TemplateError as error:
        raise UsageError(f"qemu-configs/{template}: {error}") from None
    return shlex.split(text)


def _channel(name: str) -> str:
    return f"@{{{CHANNEL}{name}}}"


def _option_value(value: object) -> str:
    """Return a value quoted for inside of a QEMU option: its commas are doubled, now or later."""
    text = str(value).replace(",", ",,")
    return shlex.quote(PLACEHOLDER.sub(lambda match: f"@{{{match[1]},}}", text))
