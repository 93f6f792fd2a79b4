"""`python -m infrastructure.local`: start everything, say where it is, and stop it cleanly on Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from infrastructure.local import backup
from infrastructure.local.settings import CannotStart, parse
from infrastructure.local.stack import LocalStack

LOOK_EVERY_SECONDS = 0.5


def main(arguments: Sequence[str]) -> int:
    """0 after a clean stop, 1 with one sentence on standard error otherwise."""
    try:
        if arguments[:1] in (["backup"], ["restore"]):
            return _backup_or_restore(arguments)
        return _run(LocalStack(parse(arguments), _say))
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1


def _run(stack: LocalStack) -> int:
    stop = threading.Event()

    def asked(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set() or not stack.started:
            stop.set()
            raise KeyboardInterrupt  # asked twice, or while starting: do not wait
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked)
    try:
        stack.start()
    except KeyboardInterrupt:
        return 1
    try:
        _tell(stack)
        while not stop.wait(LOOK_EVERY_SECONDS):
            stack.look()
    finally:
        stop.set()
        _say("\nstopping: runners first (Ctrl-C again kills them)")
        try:
            stack.stop()
        except KeyboardInterrupt:
            _say("killed; MiniStack wrote everything down")
    _say("stopped")
    return 0


def _tell(stack: LocalStack) -> None:
    """Where to click first."""
    settings, operator = stack.settings, stack.operator
    first = operator.first_password
    secret = f"first password {first}" if first else "the password you chose"
    lines = ["", f"  admin    {stack.admin_url}", f"           {operator.email}, {secret}"]
    lines += [f"  outbox   {stack.outbox_url}"]
    if settings.simulate_whatsapp:
        lines += [f"  phone    {stack.phone_url}"]
    if missing := settings.missing():
        lines += ["", *(f"  ! {sentence}" for sentence in missing)]
    lines += ["", f"  Ctrl-C stops everything; logs are in {settings.data / 'logs'}"]
    _say("\n".join(lines))


def _backup_or_restore(arguments: Sequence[str]) -> int:
    verb, *rest = arguments
    if not rest or not rest[0]:
        raise CannotStart(f"Say which file: `make {verb} FILE=answerline-backup.tar.gz`.")
    settings = parse(rest[1:])
    said = (backup.back_up if verb == "backup" else backup.restore)(settings.data, Path(rest[0]).resolve())
    _say(said)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
