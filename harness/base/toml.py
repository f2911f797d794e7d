# SPDX-License-Identifier: GPL-2.0-only
"""Named data files (kernels, machines, suites): finding one, and saying what was meant."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.base.errors import UsageError

NAMED = 12  # names in one line
M = TypeVar("M", bound=BaseModel)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not there, with the nearest one that is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(_newest(names)) or 'none'}"
    return UsageError(f"unknown {kind} '{name}': {hint}")


def _newest(names: list[str]) -> list[str]:
    """The last NAMED of the sorted `names`, behind the number of those left out."""
    return names if len(names) <= NAMED else [f"{len(names) - NAMED} more", *names[-NAMED:]]


def read_toml(path: Path) -> dict[str, Any]:
    """Return a TOML file as a dict. Raise UsageError with file and line when it is not one."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None


def line_of(text: str, keys: tuple[int | str, ...]) -> int:
    """Return the line (from 1) on which the key path `keys` stands in a TOML text, or its table's.

    tomllib keeps no positions, so headers and keys are looked up in order of nesting.
    """
    lines = text.splitlines()
    at = 0
    for position, key in enumerate(keys):
        if isinstance(key, int):
            table = ".".join(str(k) for k in keys[:position] if isinstance(k, str))
            heads = [n for n, line in enumerate(lines) if line.strip() == f"[[{table}]]"]
            at = heads[key] if key < len(heads) else at
            continue
        for n in range(at, len(lines)):
            bare = lines[n].strip().strip("[]").strip()
            if bare == key or bare.split("=")[0].strip() == key or bare.endswith(f".{key}"):
                at = n
                break
    return at + 1


def parse(model: type[M], path: Path, data: dict[str, Any] | None = None) -> M:
    """Return `path` (or `data` read from it) as a `model`.

    Raise UsageError with file, line, key and reason.
    """
    values = read_toml(path) if data is None else data
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # A misspelt key is also a missing one: the misspelling is the cause.
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        keys = tuple(first["loc"])
        line = line_of(path.read_text(encoding="utf-8"), keys)
        named = ".".join(str(k) for k in keys) or "the file"
        if first["type"] == "extra_forbidden":
            known = sorted(_fields(model, keys[:-1]))
            near = difflib.get_close_matches(str(keys[-1]), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"{path}:{line}: unknown key '{named}': {hint}") from None
        reason = first["msg"].lower()
        if first["type"] == "value_error":  # raised by a validator of ours, in words for a user
            reason = str(first["ctx"]["error"])
        raise UsageError(f"{path}:{line}: {named}: {reason}") from None


def _fields(model: type[BaseModel], keys: tuple[int | str, ...]) -> set[str]:
    """The keys that the table at `keys` may have."""
    here: Any = model
    for key in keys:
        if isinstance(key, int):
            continue
        here = here.model_fields[key].annotation
        while not (isinstance(here, type) and issubclass(here, BaseModel)):
            inner = [a for a in getattr(here, "__args__", ()) if a is not type(None)]
            if not inner:
                return set()
            here = inner[-1]
    return {field.alias or name for name, field in here.model_fields.items()}
