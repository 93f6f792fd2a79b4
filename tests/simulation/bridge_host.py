"""The process in which the runner's real bridge runs for the histories: one Node process for each process of Python."""

import atexit
import json
import os
import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.browser import injected_script

HOST = Path(__file__).parent / "page" / "host.js"
SCRIPTS = Path(injected_script.__file__).parent
#: A page that computes for so long hangs.
ANSWER_TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 16

Operation = Sequence[Any]


class BridgeHostFailed(Exception):
    """The Node process failed; the text has the stack of its error."""


class BridgeHost:
    """A Node process with the bridge in it, asked and answering by lines of JSON."""

    def __init__(self, script: str) -> None:
        self.alive = True
        self._unread = b""
        self._process = subprocess.Popen(["node", HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        self._write({"script": script})

    def forget_pages(self) -> None:
        """Forgets all pages: another history begins."""
        self._ask({"page": None, "at": 0, "operations": []})

    def play(self, page: int, at: float, operations: Sequence[Operation]) -> tuple[list[Any], float | None]:
        """Carries out operations on a page, at this time of the history.

        Returns what the page did, in order, and when its next timer is due. Raises BridgeHostFailed.
        """
        answer = self._ask({"page": page, "at": at, "operations": operations})
        return answer.get("effects", []), answer.get("wake")

    def end(self) -> None:
        """Ends the process."""
        self.alive = False
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def abandon(self) -> None:
        """Closes the ends of the pipes that a forked process inherited: the Node process belongs to its parent."""
        self.alive = False
        os.close(self._input)
        os.close(self._output)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self.alive:
            raise BridgeHostFailed("the process has ended")
        try:
            self._write(request)
            answer: dict[str, Any] = json.loads(self._read_line())
        except (OSError, ValueError) as error:
            self.end()
            raise BridgeHostFailed(f"the process does not answer: {error!r}") from error
        if "error" in answer:
            self.end()
            raise BridgeHostFailed(str(answer["error"]))
        return answer

    def _write(self, line: dict[str, Any]) -> None:
        left = memoryview((json.dumps(line) + "\n").encode("ascii"))
        while left:
            left = left[os.write(self._input, left) :]

    def _read_line(self) -> bytes:
        while b"\n" not in self._unread:
            if not self._poll.poll(ANSWER_TIMEOUT_SECONDS * 1000):
                raise TimeoutError(f"no answer in {ANSWER_TIMEOUT_SECONDS:.0f} s")
            chunk = os.read(self._output, CHUNK_BYTES)
            if not chunk:
                raise EOFError("its output has ended")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def read_bridge() -> str:
    """Returns the scripts of the bridge as the runner injects them."""
    return "\n".join((SCRIPTS / name).read_text(encoding="utf-8") for name in injected_script.BRIDGE)


_host: BridgeHost | None = None


def host() -> BridgeHost:
    """Returns the host of this process, and starts it if there is none."""
    global _host
    if _host is None or not _host.alive:
        _host = BridgeHost(read_bridge())
    return _host


@contextmanager
def changed_bridge(before: str, after: str) -> Iterator[None]:
    """Runs another bridge meanwhile, in which this text, which must stand there once, is replaced."""
    global _host
    script = read_bridge()
    assert script.count(before) == 1, f"{before!r} stands {script.count(before)} times in the bridge"
    kept, _host = _host, BridgeHost(script.replace(before, after))
    try:
        yield
    finally:
        _host.end()
        _host = kept


def _abandon() -> None:
    global _host
    if _host is not None and _host.alive:
        _host.abandon()
    _host = None


def _end() -> None:
    if _host is not None and _host.alive:
        _host.end()


os.register_at_fork(after_in_child=_abandon)
atexit.register(_end)
