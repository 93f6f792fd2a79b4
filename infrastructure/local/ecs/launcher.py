"""The launcher of this stack's runners: as processes, or in containers, each with the settings of `make up`."""

from collections.abc import Callable

from infrastructure.local import preflight
from infrastructure.local.ecs.runners import Containers, Processes, Runners
from infrastructure.local.environment import runner_variables
from infrastructure.local.lambda_runtime.events import STAGE
from infrastructure.local.programs import Programs
from infrastructure.local.settings import Settings


def launcher(chosen: Settings, programs: Programs, token: str, task_arn: Callable[[str], str]) -> Runners:
    """Returns what starts a runner; ``token`` is the bootstrap token, ``task_arn`` a task's name in ECS."""
    network = programs.network
    settings = {
        "CAPACITY": str(chosen.runner_capacity),
        "LINE_REPLIES_PER_MINUTE": str(chosen.line_replies_per_minute),
        **programs.browser_settings,
        **({"CHROMIUM": chosen.chromium} if chosen.chromium and not chosen.runner_image else {}),
        **({"BROWSER_HEAP_MB": chosen.browser_heap_mb} if chosen.browser_heap_mb else {}),
        **chosen.runner_settings,
    }
    control_url = chosen.local_url if network is None else f"http://{network.host}:{chosen.ports.gateway}/{STAGE}"

    def variables(task: str) -> dict[str, str]:
        return runner_variables(control_url=control_url, bootstrap_token=token, task=task_arn(task), settings=settings)

    boot_gate = chosen.data.absolute() / "boot-gate"
    if network is None or chosen.runner_image is None:
        return Processes(variables, chosen.runner_command, boot_gate=boot_gate)
    engine, capacity = preflight.find_engine(), chosen.runner_capacity
    return Containers(engine, chosen.runner_image, variables, network, capacity=capacity, boot_gate=boot_gate)
