"""A PostgreSQL server as a supervised process of this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pulumi import Output
from pulumi.output import Unknown

from keelson.backups.physical.archiving import archiving_of
from keelson.local import server, tls
from keelson.local.registry import Registry
from keelson.local.spec import ServerSpec
from providers import certificates, values
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class LocalServerInputs:
    """The server's data directory, its port or where to look for one, and PostgreSQL's parameters."""

    key: str
    stack_id: str
    server: str
    version: str
    data: str
    timescaledb: bool = False
    port: int = 0  # 0: a free one
    preferred_port: int = 5432
    avoid_ports: tuple[int, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    hba: tuple[str, ...] = ()  # the lines of pg_hba.conf; of an older release none
    certified: tuple[str, ...] = ()  # logins that show a certificate
    pgaudit: bool = False
    archiving: dict[str, Any] = field(default_factory=dict)  # what it keeps for a restore to any moment; empty: nothing
    passphrase: str = ""  # by which that is encrypted; empty for one made up
    discarded: bool = False  # whether the data go with the server

    @property
    def spec(self) -> ServerSpec:
        """What the library takes."""
        return ServerSpec(
            key=self.key,
            stack_id=self.stack_id,
            name=self.server,
            version_label=self.version,
            data_directory=Path(self.data),
            port=self.port or None,
            preferred_port=self.preferred_port,
            avoid_ports=self.avoid_ports,
            parameters=self.parameters,
            timescale=self.timescaledb,
            hba=self.hba,
            certified=self.certified,
            pgaudit=self.pgaudit,
            archiving=archiving_of(self.archiving),
            passphrase=self.passphrase,
        )


class LocalServerProvider(Provider[LocalServerInputs]):
    """Started and waited for; reloaded, or restarted where a parameter needs it; stopped cleanly."""

    inputs = LocalServerInputs
    compared: ClassVar = (
        "version",
        "data",
        "timescaledb",
        "port",
        "preferred_port",
        "parameters",
        "hba",
        "certified",
        "pgaudit",
        "archiving",
        "passphrase",
        "discarded",
    )

    def identify(self, inputs: LocalServerInputs) -> str:
        """Return `stack/server`."""
        return f"{inputs.key}/{inputs.server}"

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Let PostgreSQL itself read parameters that changed, and say what takes a restart; no server runs for that."""
        if old and bool(inputs.get("archiving")) != bool(old.get("archiving")):
            what = "begins to archive" if inputs.get("archiving") else "no longer archives"
            print(f"server {inputs['server']} {what} its log, which takes a restart of some seconds", flush=True)  # noqa: T201
        changed = any(inputs.get(name) != old.get(name) for name in ("parameters", "timescaledb", "pgaudit"))
        if changed and not isinstance(inputs.get("parameters"), Unknown):
            known = {key: "" if isinstance(value, Unknown) else value for key, value in inputs.items()}
            server.check(values.decode(LocalServerInputs, known).spec)
        return inputs

    def differs(self, state: Bag, new: Bag) -> bool:
        """Also say so once a certificate is to be renewed."""
        return super().differs(state, new) or certificates.due(new["server"], state)

    def make(self, inputs: LocalServerInputs) -> Bag:
        """Start it, or bring the running one up to date, its certificate too, and wait until it answers."""
        state = server.start(inputs.spec)
        for note in state.notes:
            print(f"server {inputs.server}: {note}", flush=True)  # noqa: T201 - the engine shows what a provider prints
        certificate = tls.first_due(inputs.key, inputs.server, inputs.spec.directory / "tls")
        return {"listens_on": state.port, "server_version": state.version, certificates.OUTPUT: certificate}

    def look(self, state: Bag) -> Bag | None:
        """Read where it listens, and when its certificate ends."""
        record = Registry(state["key"]).server(state["server"])
        if record is None:
            return None
        certificate = tls.first_due(state["key"], state["server"], Path(record.data_directory) / "tls")
        return {"listens_on": record.port, certificates.OUTPUT: certificate}

    def remove(self, state: Bag) -> None:
        """Stop it: cleanly, or at once where its data go next."""
        stop = server.discard if state.get("discarded") else server.remove
        stop(state["key"], state["server"])


class LocalServer(Managed, module="keelson", name="LocalServer"):
    """A server of this machine; `listens_on` is its port, `certificate` when its certificate is renewed."""

    provider = LocalServerProvider
    computed = ("listens_on", "server_version", certificates.OUTPUT)

    listens_on: Output[int]
    server_version: Output[str]
    certificate: Output[dict[str, str]]
