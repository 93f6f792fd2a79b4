"""The network of runners in containers: the internet, and of this machine nothing but the gateway.

Every part of the stack listens on this machine's loopback, which a container does not share. The gateway is let
through: by podman without root as a forwarded port (pasta), else on this machine's address in a network of ours.

NOT guaranteed: that a container reaches no other program that listens on all addresses, such as sshd.
"""

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from infrastructure.local.settings import CannotStart

#: The network of containers, and the name by which they know this machine.
NETWORK = "answerline"
GATEWAY_NAME = "gateway.answerline.internal"
LOOPBACK = "127.0.0.1"
#: The limit for one command of the container engine.
ENGINE_TIMEOUT_SECONDS = 30

#: a command → its output; ``None`` if it failed
Ask = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class ContainerNetwork:
    """Options by which a container reaches the gateway, and the address at which it finds it."""

    options: tuple[str, ...]
    #: this machine's name in a container
    host: str
    #: where the gateway must listen besides loopback; ``None``: a container's loopback leads to ours
    address: str | None

    def rules(self, host_rules: str) -> str:
        """Returns a browser's host rules with this machine's address where they name its loopback."""
        return host_rules.replace(LOOPBACK, self.address) if self.address else host_rules


def forwarded_network(ports: Iterable[int]) -> ContainerNetwork:
    """Returns the network of podman without root: these ports of a container's loopback are ours (passt(1), ``-T``)."""
    forwarded = ",".join(f"-T,{port}" for port in ports)
    # By number: in a container `localhost` is ::1 as well, on which nothing here listens.
    return ContainerNetwork(("--network", f"pasta:{forwarded}"), LOOPBACK, None)


def bridged_network(address: str) -> ContainerNetwork:
    """Returns the network of an engine that runs as root, in which this machine has ``address``."""
    options = ("--network", NETWORK, "--add-host", f"{GATEWAY_NAME}:{address}")
    return ContainerNetwork(options, GATEWAY_NAME, address)


def prepare_network(engine: str, ports: Iterable[int], ask: Ask | None = None) -> ContainerNetwork:
    """Returns the network for runners, and creates it if it is missing; raises :class:`CannotStart`.

    Args:
        engine: docker or podman.
        ports: of this machine's loopback that containers reach; the gateway's is one.
    """
    asked = ask or run_engine
    if engine == "podman" and asked([engine, "info", "--format", "{{.Host.Security.Rootless}}"]) == "true":
        return forwarded_network(ports)
    if engine == "docker" and "rootless" in (asked([engine, "info", "--format", "{{.SecurityOptions}}"]) or ""):
        raise CannotStart("Containers of a docker without root cannot reach this machine: use podman instead.")
    inspect = [engine, "network", "inspect", NETWORK, "--format", _GATEWAY_OF[engine]]
    address = asked(inspect)
    if address is None:
        asked([engine, "network", "create", *_CREATE_OPTIONS[engine], NETWORK])
        address = asked(inspect)
    if not address:
        raise CannotStart(f"{engine} has no network {NETWORK}: look at what `{engine} network create {NETWORK}` says.")
    return bridged_network(address)


#: Where each engine says which address this machine has in a network.
_GATEWAY_OF = {"docker": "{{(index .IPAM.Config 0).Gateway}}", "podman": "{{(index .Subnets 0).Gateway}}"}
#: Runners do not reach each other; podman separates networks only.
_CREATE_OPTIONS = {
    "docker": ("--opt", "com.docker.network.bridge.enable_icc=false"),
    "podman": ("--opt", "isolate=true"),
}


def run_engine(command: Sequence[str]) -> str | None:
    """Returns the output of a command of the engine; ``None`` if it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ENGINE_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
