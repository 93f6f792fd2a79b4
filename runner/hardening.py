"""Hardens the runner's process: its browsers, which run as the same user, neither inherit nor read its secrets."""

import ctypes
import os
import re
import sys
from collections.abc import Mapping, MutableMapping

#: The variables that Chromium inherits: paths, language and fonts. A page that broke out of it could read any other.
BROWSER_VARIABLES = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LANGUAGE|LD_LIBRARY_PATH|CHROME_DEVEL_SANDBOX|(LC|XDG|FONTCONFIG)_\w+"
)
#: The variables that Playwright's driver reads, and the runner's own HTTP client after the settings were read.
RUNNER_VARIABLES = re.compile(r"PLAYWRIGHT_\w+|SSL_CERT_(FILE|DIR)|(HTTP|HTTPS|ALL|NO)_PROXY", re.IGNORECASE)
PR_SET_DUMPABLE = 4


def browser_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the part of an environment that Chromium inherits."""
    return {name: value for name, value in environment.items() if BROWSER_VARIABLES.fullmatch(name)}


def remove_settings(environment: MutableMapping[str, str]) -> None:
    """Removes the secrets that children must not inherit: the bootstrap token, the cloud's credentials."""
    for name in list(environment):
        if not BROWSER_VARIABLES.fullmatch(name) and not RUNNER_VARIABLES.fullmatch(name):
            del environment[name]


def deny_memory_access() -> None:
    """Gives root alone this process's memory and first environment (``/proc/<pid>/{mem,environ}``, ptrace); Linux only.

    The kernel keeps the environment with which a process was started, even if variables are deleted later: prctl(2),
    PR_SET_DUMPABLE. Children start readable again. Raises OSError.
    """
    if sys.platform == "linux" and (failed := _prctl(PR_SET_DUMPABLE, 0)):
        raise OSError(failed, os.strerror(failed))


def _prctl(option: int, value: int) -> int:
    """Returns the error's number, 0 for success."""
    library = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    return ctypes.get_errno() if library.prctl(option, ctypes.c_ulong(value), zero, zero, zero) else 0
