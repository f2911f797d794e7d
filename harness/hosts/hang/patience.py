# SPDX-License-Identifier: GPL-2.0-only
"""How long a guest may print nothing, and the look at its CPUs that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from harness.base.deadline import Deadline
from harness.results.places import Place
from harness.results.records import Failure
from harness.suites.failures.guest_log import GuestLog

T = TypeVar("T")
Look = Callable[[], Place | None]


@dataclass(frozen=True)
class Waited(Generic[T]):
    """The result of a wait. `answer` None: nothing came for `silence` seconds, or in time.

    `place` is where the CPUs were then, None where they cannot be seen. `key` says where a user
    can change `silence`.
    """

    answer: T | None
    silence: float
    place: Place | None = None
    key: str = field(default="", compare=False)


@dataclass(frozen=True)
class Patience:
    """Seconds: after `look` of silence a guest's CPUs are looked at, after `whole` it is given up.

    A guest whose place is known is given up at the first look. `look_key` and `whole_key` say
    where a user can change the two.
    """

    look: float
    whole: float
    look_key: str = field(default="", compare=False)
    whole_key: str = field(default="", compare=False)

    def wait(self, wait: Callable[[float], T | None], deadline: Deadline, look: Look) -> Waited[T]:
        """Call `wait` with a limit of silence, once or twice; return its answer, or the place."""
        waited = self._wait(wait, self.look, look, self.look_key)
        known = waited.place is not None and waited.place.known
        if waited.answer is not None or known or deadline.over or self.whole <= self.look:
            return waited
        return self._wait(wait, self.whole, look, self.whole_key)

    def _wait(
        self, wait: Callable[[float], T | None], silence: float, look: Look, key: str
    ) -> Waited[T]:
        answer = wait(silence)
        return Waited(answer, silence, look() if answer is None else None, key)


def quiet(log: GuestLog, deadline: Deadline, waited: Waited[T], what: str) -> Failure:
    """Return the failure of a wait for `what` that had no answer: the limit, and the place."""
    failure = placed(log.quiet(deadline, waited.silence, what), waited.place)
    key = deadline.key if deadline.over else waited.key
    return failure.model_copy(update={"summary": limited(failure.summary, key)})


def limited(summary: str, key: str) -> str:
    """Return a summary with where the limit that ended a guest can be changed."""
    return f"{summary} (limit: {key})" if key else summary


def placed(failure: Failure, place: Place | None) -> Failure:
    """Return the failure with the place, when it is that of a guest which does not go on."""
    if place is None or not (failure.kind.timeout or failure.kind.lockup):
        return failure
    return failure.model_copy(
        update={"place": place, "summary": f"{failure.summary}; {place.described()}"}
    )
