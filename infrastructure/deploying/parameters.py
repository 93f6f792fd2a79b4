"""The stack parameters of one deployment, resolved once: what is decided, else given now, else remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from infrastructure.deploying import CannotDeploy


@dataclass(frozen=True, slots=True)
class Parameters:
    """The layers that a deployment's stack parameters come from, as parameter → value each.

    Args:
        given: from the operator, now; an empty value forgets the remembered one.
        remembered: of the stack's last deployment.
        decided: by the deployment itself, over both.
    """

    given: Mapping[str, str]
    remembered: Mapping[str, str]
    decided: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str, default: str = "") -> str:
        """Returns what the operator gives now, else what the stage remembers; empty: forgotten now."""
        return {**self.remembered, **self.given}.get(name, default)

    def number(self, name: str, default: int) -> int:
        """Returns a parameter that is a whole number; ``default`` where it is forgotten or was never given."""
        return int(self.value(name) or default)

    def with_decisions(self, decided: Mapping[str, str]) -> "Parameters":
        """Adds what the deployment decides."""
        return replace(self, decided={**self.decided, **decided})

    def for_template(self, declared: Mapping[str, object]) -> dict[str, str]:
        """Returns the values for a template that declares these parameters; its defaults hold for the others.

        Raises:
            CannotDeploy: a parameter that is given or decided now is not declared.
        """
        unknown = (set(self.given) | set(self.decided)) - set(declared)
        if unknown:
            raise CannotDeploy(f"The template does not know the parameters {', '.join(sorted(unknown))}.")
        forgotten = {name for name, value in self.given.items() if not value}
        joined = {**self.remembered, **self.given, **self.decided}
        return {name: value for name, value in joined.items() if name in declared and name not in forgotten}
