"""What the programs a runner starts are told, and what they cannot find out although they run as the same user."""

import ctypes
import os
import re
import sys
from collections.abc import Mapping, MutableMapping

#: All that Chromium is told: where things lie, which language and fonts. A page that broke out of it reads the rest.
OF_THE_BROWSER = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LANGUAGE|LD_LIBRARY_PATH|CHROME_DEVEL_SANDBOX|(LC|XDG|FONTCONFIG)_\w+"
)
#: What Playwright's driver looks for, and the runner's own HTTP client after the settings were read.
OF_THE_RUNNER = re.compile(r"PLAYWRIGHT_\w+|SSL_CERT_(FILE|DIR)|(HTTP|HTTPS|ALL|NO)_PROXY", re.IGNORECASE)
PR_SET_DUMPABLE = 4


def browser_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that Chromium gets."""
    return {name: value for name, value in environment.items() if OF_THE_BROWSER.fullmatch(name)}


def remove_settings(environment: MutableMapping[str, str]) -> None:
    """Leave nothing for children to inherit but what they need: no bootstrap token, no cloud's credentials."""
    for name in list(environment):
        if not OF_THE_BROWSER.fullmatch(name) and not OF_THE_RUNNER.fullmatch(name):
            del environment[name]


def deny_memory_access() -> None:
    """Give this process's memory and first environment to root (``/proc/<pid>/mem``, ``environ``, ptrace); Linux only.

    The kernel keeps the environment a process was started with, whatever is deleted from it later: prctl(2),
    PR_SET_DUMPABLE. Children start readable again.
    """
    if sys.platform == "linux" and (failed := _prctl(PR_SET_DUMPABLE, 0)):
        raise OSError(failed, os.strerror(failed))


def _prctl(option: int, value: int) -> int:
    """The error's number, 0 if it went well."""
    library = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    return ctypes.get_errno() if library.prctl(option, ctypes.c_ulong(value), zero, zero, zero) else 0
