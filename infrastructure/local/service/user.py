"""The user with whose rights this process acts, by its name."""

import os
import pwd


def name_of_this_user() -> str:
    """Returns the name of the user; its number if it has none, as in a container."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
