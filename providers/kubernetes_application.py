"""What an application in another namespace is given to connect with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pulumi import Output

from keelson.kubernetes import applications
from keelson.kubernetes.applications import Application
from providers import certificates, values
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class ApplicationInputs:
    """What `keelson.kubernetes.applications.Application` has, and the mark of the stack's state."""

    place: str
    key: str
    namespace: str
    service: str
    server: str
    redis: dict[str, Any] = field(default_factory=dict)
    usual_redis: str = ""
    mark: str = ""
    entrances: list[str] = field(default_factory=list)
    login: str = ""  # as whom; empty for the service's first login
    uses: dict[str, str] = field(default_factory=dict)  # passwords that the user chose, so another one is a change
    certified: bool = False  # its logins show a certificate

    @property
    def application(self) -> Application:
        """What the library takes."""
        given: Any = values.plain(self.redis)
        redis = {name: (str(where[0]), int(where[1])) for name, where in given.items()}
        entrances: Any = tuple(self.entrances)
        named = (self.place, self.key, self.namespace, self.service, self.server)
        return Application(*named, redis, self.usual_redis, entrances, self.login)


class KubernetesApplicationProvider(Provider[ApplicationInputs]):
    """A Secret in its namespace, with the variables of a .env."""

    inputs = ApplicationInputs
    compared: ClassVar = ("server", "redis", "usual_redis", "mark", "entrances", "uses", "login", "certified")
    fixed: ClassVar = {"place": "a stack does not move: make a new one in the other place and restore into it"}

    def identify(self, inputs: ApplicationInputs) -> str:
        """Return `stack/namespace/service`."""
        return f"{inputs.key}/{inputs.namespace}/{inputs.service}"

    def differs(self, state: Bag, new: Bag) -> bool:
        """Also say so once a certificate that it has is to be renewed: the authority's, its login's."""
        return super().differs(state, new) or certificates.due(new["service"], state)

    def make(self, inputs: ApplicationInputs) -> Bag:
        """Write it."""
        applications.give(inputs.application)
        return _certificate(inputs)

    def look(self, state: Bag) -> Bag | None:
        """Say whether it is there, and when what stands in it is renewed."""
        inputs = values.decode(ApplicationInputs, state)
        return state | _certificate(inputs) if applications.is_given(inputs.application) else None

    def remove(self, state: Bag) -> None:
        """Delete it."""
        applications.take_back(values.decode(ApplicationInputs, state).application)


class KubernetesApplication(Managed, module="keelson", name="KubernetesApplication"):
    """The Secret of a service's application; `certificate` says when the authority's in it is renewed."""

    provider = KubernetesApplicationProvider
    computed = (certificates.OUTPUT,)

    certificate: Output[dict[str, str]]


def _certificate(inputs: ApplicationInputs) -> Bag:
    """Return the output that says which of its certificates is renewed first: the authority's, or its login's."""
    if inputs.certified:
        return {certificates.OUTPUT: certificates.of_logins(inputs.place, inputs.key, inputs.server)}
    return {certificates.OUTPUT: certificates.of_authority(inputs.place, inputs.key)}
