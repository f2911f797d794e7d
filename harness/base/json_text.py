# SPDX-License-Identifier: GPL-2.0-only
"""JSON of a pydantic model, written without an interrupt in its middle."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from harness.base.signals import signals_held


def json_text(model: BaseModel, **options: Any) -> str:
    """Return `model` as JSON; `options` are those of pydantic's model_dump_json().

    A signal that ends s2eval raises KeyboardInterrupt after the text is made: pydantic would
    turn one within a serializer into a PydanticSerializationError.
    """
    with signals_held():
        return model.model_dump_json(**options)
