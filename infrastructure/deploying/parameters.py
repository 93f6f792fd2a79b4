"""Stack parameters of one deployment, resolved once: decided ones, else given ones, else remembered ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from infrastructure.deploying import CannotDeploy


@dataclass(frozen=True, slots=True)
class Parameters:
    """The layers of a deployment's stack parameters, each a mapping of parameter → value.

    Args:
        given: the operator's, of this command; an empty value forgets the remembered one.
        remembered: those of the stack's last deployment.
        decided: the deployment's own, which take precedence over values, but not over an empty given one.
    """

    given: Mapping[str, str]
    remembered: Mapping[str, str]
    decided: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str, default: str = "") -> str:
        """Returns the operator's value, else the remembered one; empty if the operator forgets it now."""
        return {**self.remembered, **self.given}.get(name, default)

    def number(self, name: str, default: int) -> int:
        """Returns the value as a whole number; ``default`` if it is forgotten or was never given."""
        return int(self.value(name) or default)

    def with_decisions(self, decided: Mapping[str, str]) -> "Parameters":
        """Adds decisions of the deployment."""
        return replace(self, decided={**self.decided, **decided})

    def for_template(self, declared: Mapping[str, object]) -> dict[str, str]:
        """Returns the values for a template that declares these parameters; its defaults hold for the others.

        Raises:
            CannotDeploy: a given or decided parameter is not declared.
        """
        unknown = (set(self.given) | set(self.decided)) - set(declared)
        if unknown:
            raise CannotDeploy(f"The template does not know the parameters {', '.join(sorted(unknown))}.")
        forgotten = {name for name, value in self.given.items() if not value}
        joined = {**self.remembered, **self.given, **self.decided}
        return {name: value for name, value in joined.items() if name in declared and name not in forgotten}
