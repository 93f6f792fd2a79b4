"""Isolates the errors of steps that do not depend on each other: a failed step stops no other step."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar, TypeVarTuple

from chalicelib.errors import Unreadable
from chalicelib.log_context import trace
from chalicelib.log_events import LogEvent

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class ErrorIsolation:
    """Collects the errors of independent steps, and raises them at the end so that the alarm sees them."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    def run(self, subject: str, step: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result | None:
        """Returns the result of a step; None if it failed. ``subject`` (a tenant, a runner) is added to its error.

        A record that cannot be read was logged where it was read, and is no error of the loop: it would be raised in
        every round until a person acts, and hide the next error.
        """
        try:
            return step(*arguments)
        except Unreadable:
            return None
        except Exception as error:
            error.add_note(f"while reconciling: {subject}")
            self._errors.append(error)
            return None

    def each(self, subject: str, steps: Iterator[Result]) -> Iterator[Result]:
        """Yields the results of steps until one of them fails: of a generator, nothing follows its error."""
        while True:
            try:
                result = next(steps)
            except StopIteration:
                return
            except Exception as error:
                error.add_note(f"while reconciling: {subject}")
                self._errors.append(error)
                return
            yield result

    def finish(self) -> None:
        """Logs and raises the errors of all failed steps as one ExceptionGroup; does nothing if there are none."""
        if self._errors:
            group = ExceptionGroup("not everything was reconciled", self._errors)
            # Lambda itself logs nothing of what is inside a group.
            log.error(LogEvent.RECONCILE_INCOMPLETE, extra={"trace": trace(group)})
            raise group
