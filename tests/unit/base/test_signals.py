# SPDX-License-Identifier: GPL-2.0-only
"""Signals that end s2eval, sent to this very process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, field_serializer

from harness.base.json_text import json_text
from harness.base.signals import ENDING, end_in_good_order, signals_held


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before, hook = {number: signal.getsignal(number) for number in ENDING}, sys.unraisablehook
    end_in_good_order()
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_interrupts_once(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)  # while the command ends


@pytest.mark.parametrize("number", ENDING)
def test_a_held_one_comes_at_the_end_of_the_outermost_block(number: signal.Signals) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), signals_held():
        with signals_held():
            os.kill(os.getpid(), number)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with signals_held():
        done.append("later")  # it came once


class Interrupted(BaseModel):
    """A model in whose serializer a signal comes, as it can in one of a record."""

    text: str = ""

    @field_serializer("text")
    def _with_a_signal(self, text: str) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return text


def test_a_signal_within_a_serializer_is_an_interrupt_and_no_error_of_pydantic() -> None:
    with pytest.raises(KeyboardInterrupt):
        json_text(Interrupted())


def test_an_error_of_a_block_without_a_signal_is_that_error() -> None:
    with pytest.raises(OSError, match="full"), signals_held():
        raise OSError("full")


def test_a_block_of_another_thread_holds_nothing_back() -> None:
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        with signals_held():
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=work)
    other.start()
    entered.wait(10)
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        leave.set()
        other.join()


def test_one_that_python_swallows_comes_again() -> None:
    class Thing:
        pass

    thing = Thing()
    swallowed = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        del thing
        time.sleep(5)
    assert swallowed() is None
