"""The unit of systemd: a pure function of where Answerline is and of whose account it runs under.

No secret stands in it, nor in what `systemctl show` prints: secrets are credentials, files that only root and this
service read. The directives of hardening are those with which Chromium still starts and keeps its own sandbox
(`tests/contract/test_service_unit.py` starts one under them).
"""

from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.ecs import supervisor
from infrastructure.local.programs import READY_TIMEOUT_SECONDS
from infrastructure.local.programs import STOP_GRACE_SECONDS as PROGRAMS_GRACE_SECONDS

#: What a first start may take: each program's time, and a former release's data taken over.
START_WITHIN_SECONDS = 900
#: What a stop takes at most: runners drain, then they are killed, then the programs end, the stores last.
STOP_WITHIN_SECONDS = int(
    supervisor.STOP_GRACE_SECONDS
    + supervisor.KILL_TIMEOUT_SECONDS
    + PROGRAMS_GRACE_SECONDS
    + 2 * READY_TIMEOUT_SECONDS  # the table, and MiniStack
    + 25  # the mails' server, and what a busy machine adds
)
#: Processes and threads: about 100 for each line's browser.
TASKS_AT_MOST = 16_384
#: What systemd accepts in no path of a command, and a unit cannot hold.
_REFUSED = set("\\\"'$")
#: Directories that `ProtectHome=yes` would hide.
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))

#: System calls beyond systemd's set for services: with these Chromium builds its sandbox.
SANDBOX_CALLS = ("chroot", "seccomp", "@pkey", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
#: Kinds of namespaces that a program may make: of Chromium's sandbox, and of the table's own network.
NAMESPACES = ("user", "pid", "net")


@dataclass(frozen=True)
class Installation:
    """The places of this machine's Answerline, and the account that it runs under."""

    #: The repository, with `.venv` in it.
    checkout: Path
    data: Path
    #: The file of settings that are no secrets, ``NAME=value`` in each line.
    settings_file: Path
    #: The directory with a file for each secret.
    credentials: Path
    #: The names of the files in it.
    secrets: tuple[str, ...]
    user: str
    group: str
    home: Path
    #: What else it reads, wherever that is: the real Python, a Chromium that was given by its path.
    reads: tuple[Path, ...] = ()
    #: Further directories that it writes to, if they are there: a place for backups.
    writes: tuple[Path, ...] = ()
    #: More groups, such as the one that may use the container engine.
    groups: tuple[str, ...] = ()


def unit_text(installation: Installation) -> str:
    """Returns the whole text of the unit. Raises ValueError for a path that a unit cannot hold."""
    checkout, data = installation.checkout, installation.data
    python = checkout / ".venv" / "bin" / "python"
    hidden_homes = not any(
        _is_in_a_home(path) for path in (checkout, data, installation.home, *installation.reads, *installation.writes)
    )
    lines = [
        "# Written by `make service`, which writes it again; `make service-remove` removes it.",
        "[Unit]",
        "Description=Answerline: WhatsApp lines that an assistant answers",
        f"Documentation={(checkout / 'docs/service.md').as_uri().replace('%', '%%')}",
        "Wants=network-online.target",
        "After=network-online.target time-sync.target docker.service",
        "# It starts again for good: a full disk or a taken port is repaired while nobody types a command.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"User={installation.user}",
        f"Group={installation.group}",
        *([f"SupplementaryGroups={' '.join(installation.groups)}"] if installation.groups else []),
        f"WorkingDirectory={_plain(checkout)}",
        f'Environment="HOME={_plain(installation.home)}"',
        "Environment=PYTHONPATH=.:chalice_app:chalice_app/vendor",
        "Environment=PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LANG=C.UTF-8",
        f"EnvironmentFile={_plain(installation.settings_file)}",
        *(
            f"LoadCredential={name}:{_plain(installation.credentials / name)}"
            for name in sorted(set(installation.secrets))
        ),
        f"ExecStart={_word(python)} -m infrastructure.local --data {_word(data)}",
        "Restart=always",
        "RestartSec=5",
        f"TimeoutStartSec={START_WITHIN_SECONDS}",
        "",
        "# In order: SIGTERM goes to the first process alone, which drains the runners and stops the stores last.",
        "KillMode=mixed",
        "KillSignal=SIGTERM",
        f"TimeoutStopSec={STOP_WITHIN_SECONDS}",
        "",
        "# A browser that takes too much ends alone, and its line comes back.",
        "OOMPolicy=continue",
        "MemoryHigh=80%",
        "MemoryMax=90%",
        f"TasksMax={TASKS_AT_MOST}",
        "LimitNOFILE=65536",
        "LimitCORE=0",
        "LogRateLimitIntervalSec=30s",
        "LogRateLimitBurst=1000",
        "",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectSystem=strict",
        f"ReadWritePaths={_word(data)}",
        *(f'ReadWritePaths="-{_plain(path)}"' for path in installation.writes),
        f"ProtectHome={'yes' if hidden_homes else 'read-only'}",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectProc=invisible",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectControlGroups=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "RemoveIPC=yes",
        "KeyringMode=private",
        "LockPersonality=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        f"RestrictNamespaces={' '.join(NAMESPACES)}",
        "SystemCallArchitectures=native",
        f"SystemCallFilter=@system-service {' '.join(SANDBOX_CALLS)}",
        "SystemCallErrorNumber=EPERM",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def _is_in_a_home(path: Path) -> bool:
    return any(home == path or home in path.parents for home in _HOMES)


def _plain(path: Path) -> str:
    """Returns a path for a directive that takes the rest of its line; only specifiers (`%n`) are expanded there."""
    text = str(path)
    if not text.isprintable() or text != text.strip() or set(text) & _REFUSED:
        raise ValueError(
            f"{text!r} cannot stand in a unit: use a path without line breaks and without any of \\ \" ' $"
        )
    return text.replace("%", "%%")


def _word(path: Path) -> str:
    """Returns a path as one word of a directive that takes several."""
    return f'"{_plain(path)}"'
