"""Redis, pgAdmin or the agent as a supervised process of this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pulumi import Output
from pulumi.output import Unknown

from keelson.local import daemon, tls, volume
from keelson.local.daemon import DaemonSpec
from keelson.local.registry import Registry
from providers import certificates, values
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class LocalDaemonInputs:
    """What it is, its port or where to look for one, and what its kind knows of."""

    key: str
    stack_id: str
    name: str
    kind: str
    port: int = 0  # 0: a free one
    preferred_port: int = 0
    avoid_ports: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)  # by login: those that the user chose

    @property
    def spec(self) -> DaemonSpec:
        """What the library takes."""
        settings: Any = values.plain(self.settings)
        return DaemonSpec(
            key=self.key,
            stack_id=self.stack_id,
            name=self.name,
            kind=self.kind,
            port=self.port or None,
            preferred_port=self.preferred_port,
            avoid_ports=self.avoid_ports,
            settings=settings,
        )


class LocalDaemonProvider(Provider[LocalDaemonInputs]):
    """Started, and waited for as its kind needs; stopped cleanly."""

    inputs = LocalDaemonInputs
    compared: ClassVar = ("kind", "port", "preferred_port", "settings", "passwords")

    def identify(self, inputs: LocalDaemonInputs) -> str:
        """Return `stack/daemon`."""
        return f"{inputs.key}/{inputs.name}"

    def differs(self, state: Bag, new: Bag) -> bool:
        """Also say so once its certificate is to be renewed."""
        has_one = certificates.encrypted(new["kind"], new.get("settings") or {})
        return super().differs(state, new) or (has_one and certificates.due(new["name"], state))

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Let its kind look at settings that changed; nothing runs for that."""
        if not isinstance(inputs.get("settings"), Unknown) and inputs.get("settings") != old.get("settings"):
            known = {key: "" if isinstance(value, Unknown) else value for key, value in inputs.items()}
            daemon.check(values.decode(LocalDaemonInputs, known).spec)
        return inputs

    def make(self, inputs: LocalDaemonInputs) -> Bag:
        """Start it, or bring the running one up to date."""
        state = daemon.start(inputs.spec, inputs.passwords)
        for note in state.notes:
            print(f"{inputs.name}: {note}", flush=True)  # noqa: T201 - the engine shows what a provider prints
        return {"listens_on": state.port, certificates.OUTPUT: _certificate(inputs.key, inputs.name)}

    def look(self, state: Bag) -> Bag | None:
        """Read where it listens."""
        record = Registry(state["key"]).daemon(state["name"])
        if record is None:
            return None
        return {"listens_on": record.port, certificates.OUTPUT: _certificate(state["key"], state["name"])}

    def remove(self, state: Bag) -> None:
        """Stop it."""
        daemon.remove(state["key"], state["name"])


class LocalDaemon(Managed, module="keelson", name="LocalDaemon"):
    """A daemon of this machine; `listens_on` is its port, `certificate` when its certificate is renewed, if it has one."""

    provider = LocalDaemonProvider
    computed = ("listens_on", certificates.OUTPUT)

    listens_on: Output[int]
    certificate: Output[dict[str, str]]


def _certificate(key: str, name: str) -> dict[str, str]:
    if name not in Registry(key).encrypted():
        return {}
    return tls.first_due(key, name, volume.directory(key, name) / "tls")
