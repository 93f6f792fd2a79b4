"""Processes for trials: each is a fork of one that has imported the libraries, and is ended if it takes too long."""

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

#: All tests that reach a mutant take a minute of a processor.
ENDS_WITHIN_SECONDS = 3600

_context = multiprocessing.get_context("forkserver")
# None of our own code: the trial imports that, with the mutant in it.
_context.set_forkserver_preload(["pytest", "boto3", "moto", "hypothesis", "pydantic", "moto.core.model_instances"])


class Ended(Exception):
    """The process ended without an answer, or took too long."""


def in_process(work: Callable[..., Any], *given: Any, within_seconds: float = ENDS_WITHIN_SECONDS) -> Any:
    """Returns ``work(*given)``, called in a new process. Raises Ended, or what it raised."""
    ours, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_answer, args=(theirs, work, *given))
    process.start()
    theirs.close()
    try:
        if not ours.poll(within_seconds):
            raise Ended("it did not end")
        answer = ours.recv()
    except EOFError:
        raise Ended("its process ended") from None
    finally:
        ours.close()
        with suppress(ValueError):
            process.kill()
        process.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def start(work: Callable[..., None], *given: Any) -> Connection:
    """Starts ``work(connection, *given)`` in a process that ends with this one; returns our end of the connection."""
    ours, theirs = _context.Pipe()
    _context.Process(target=work, args=(theirs, *given), daemon=True).start()
    theirs.close()
    return ours


def _answer(connection: Connection, work: Callable[..., Any], *given: Any) -> None:
    try:
        answer = work(*given)
    except Exception as error:  # of the trial itself: a mutant's own errors are answers
        answer = RuntimeError(f"{type(error).__name__}: {error}")
    connection.send(answer)
