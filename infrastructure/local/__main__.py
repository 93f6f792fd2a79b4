"""`python -m infrastructure.local`: starts the stack, prints its addresses, and stops it gracefully on Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from infrastructure.local.backup.nightly import StackNotify, missing, nightly_of
from infrastructure.local.service.installation import with_service
from infrastructure.local.service.installed import NAME
from infrastructure.local.service.notify import State, is_service, notify
from infrastructure.local.service.rights import as_holder
from infrastructure.local.settings import CannotStart, parse
from infrastructure.local.stack import LocalStack
from infrastructure.local.table import commands as table

#: The keys of the simulated OpenAI, in one line; its page has the table.
OPENAI_KEYS = "a long key sk-… works; sk-wrong…, sk-broke…, sk-slow…, sk-fault-… play the faults on this page"
#: The interval at which the child processes are checked.
CHECK_EVERY_SECONDS = 0.5


def main(arguments: Sequence[str]) -> int:
    """Returns 0 after a clean stop; else 1, with one sentence on standard error."""
    try:
        if arguments[:1] in (["export"], ["import"]):
            return _export_or_import(arguments)
        if arguments and not arguments[0].startswith("-"):
            from infrastructure.local.backup import commands  # not above: a running stack needs none of it

            _print(commands.run(arguments))
            return 0
        settings = parse(arguments)
        with as_holder(settings.data):
            return run(LocalStack(settings, _print))
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1


def run(stack: LocalStack) -> int:
    """Runs a stack until it is asked to stop; returns the exit code."""
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set() or not stack.started:
            stop.set()
            raise KeyboardInterrupt  # a second signal, or one during the start: exit without a grace period
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, request_stop)
    try:
        stack.start()
    except KeyboardInterrupt:
        return 1
    backups = nightly_of(stack.settings, StackNotify(stack.client, stack.settings, _print))
    try:
        _print_addresses(stack)
        backups.start()
        notify(State.READY)
        while not stop.wait(CHECK_EVERY_SECONDS):
            stack.check()
    finally:
        stop.set()
        notify(State.STOPPING)
        backups.stop()
        _print("\nstopping: runners first" + ("" if is_service() else " (Ctrl-C again kills them)"))
        try:
            stack.stop()
        except KeyboardInterrupt:
            _print("killed; MiniStack saved its state")
    _print("stopped")
    return 0


def _print_addresses(stack: LocalStack) -> None:
    """Prints the URLs and the first operator's credentials."""
    settings, operator = stack.settings, stack.operator
    first = operator.first_password
    secret = f"first password {first}" if first else "the password you chose"
    if first and is_service():
        secret = f"the first password is in {settings.data / 'operator.json'}"  # the journal has other readers
    lines = ["", f"  admin    {settings.base_url}/admin"]
    if settings.public_url is not None:
        lines += [f"           on this machine {stack.admin_url}"]
    lines += [f"           {operator.email}, {secret}"]
    lines += [f"  outbox   {stack.outbox_url}"]
    if settings.guarded_by is not None:
        lines += [f"           opens where you are signed in at {settings.guarded_by}"]
    if settings.simulate_whatsapp:
        lines += [f"  phone    {stack.phone_url}"]
    if settings.simulate_openai:
        lines += [f"  OpenAI   {stack.openai_url}", f"           {OPENAI_KEYS}"]
    if warnings := [*settings.warnings(), *missing(settings.data, settings.backup_to or "")]:
        lines += ["", *(f"  ! {sentence}" for sentence in warnings)]
    stop = f"`sudo systemctl stop {NAME}`" if is_service() else "Ctrl-C"
    lines += ["", f"  {stop} stops everything; logs are in {settings.data / 'logs'}"]
    _print("\n".join(lines))


def _export_or_import(arguments: Sequence[str]) -> int:
    verb, *rest = arguments
    if not rest or not rest[0]:
        raise CannotStart(f"Say which file: `make {verb} FILE=answerline-items.jsonl`.")
    file, settings = Path(rest[0]).resolve(), parse(rest[1:], with_service(os.environ))
    _print((table.export_table if verb == "export" else table.import_table)(settings, file))
    return 0


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
