"""A server or daemon as a container: what its container is made of, what it reads, and that it answers.

Three resources around the engine's own Container, so that a preview says truly what an edit does: a change of settings makes only the
files' digest unknown, never the image or the port, whose change replaces the container.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from pulumi import Output

from keelson.docker import daemon, part
from keelson.docker.part import DockerSpec
from providers import certificates, values
from providers import part as part_resources
from providers.base import Bag, Managed, Provider
from providers.part import FilesProvider, PartInputs, ProcessProvider, tell

FIXED = part_resources.FIXED | {
    "place": "volumes do not move: destroy the stack, or make a new one on the other daemon and restore into it",
}


@dataclass(frozen=True)
class DockerPartInputs(PartInputs):
    """What `keelson.docker.part.DockerSpec` has; port 0 stands for a free one."""

    published: bool = True
    address: str = "127.0.0.1"
    port: int = 0
    preferred_port: int = 0
    avoid_ports: tuple[int, ...] = ()

    @property
    def spec(self) -> DockerSpec:
        """What the library takes."""
        given: Any = {each.name: getattr(self, each.name) for each in fields(DockerSpec)}
        return DockerSpec(**given | {"port": self.port or None, "settings": values.plain(self.settings)})


@dataclass(frozen=True)
class DockerFilesInputs(DockerPartInputs):
    """Beside that, the image's id, the mark of the state volume, and the passwords that the user chose, by login."""

    image_id: str = ""
    mark: str = ""
    passwords: dict[str, str] = field(default_factory=dict)
    uses: dict[str, str] = field(default_factory=dict)  # those of others that stand in its files


@dataclass(frozen=True)
class DockerProcessInputs(DockerPartInputs):
    """Beside that, the container's id, and the digest of the files that it reads."""

    container: str = ""
    digest: str = ""


class DockerPartImageProvider(Provider[DockerPartInputs]):
    """The image is on the daemon, the data are ready for it, and a port is chosen."""

    inputs = DockerPartInputs
    compared: ClassVar = ("image", "published", "address")
    fixed: ClassVar = FIXED

    def identify(self, inputs: DockerPartInputs) -> str:
        """Return `stack/part/image`."""
        return f"{inputs.key}/{inputs.name}/image"

    def differs(self, state: Bag, new: Bag) -> bool:
        """Also say so of a port that the settings demand, and which is not the one that it has."""
        port = values.plain(new.get("port") or 0)
        return super().differs(state, new) or port not in {0, values.plain(state["published_port"])}

    def make(self, inputs: DockerPartInputs) -> Bag:
        """Find, fetch or build the image, back up data that another version takes over, and choose the port."""
        ground = part.take_ground(inputs.spec)
        tell(inputs.name, ground.notes)
        return {"image_id": ground.image_id, "published_port": ground.port}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the image is still there, and the port free for a container that does not run."""
        spec = _spec(state)
        good = part.image_present(spec, state["image_id"]) and not part.has_lost_port(spec)
        return state if good else None


class DockerPartImage(Managed, module="keelson", name="DockerPartImage"):
    """What a part's container is made of: `image_id`, and `published_port` on the daemon's machine (0: none)."""

    provider = DockerPartImageProvider
    computed = ("image_id", "published_port")

    image_id: Output[str]
    published_port: Output[int]


class DockerFilesProvider(FilesProvider[DockerFilesInputs]):
    """Written where the container reads them; where it is found stands in the registry, with its passwords."""

    inputs = DockerFilesInputs
    compared: ClassVar = (
        "image_id",
        "uid",
        "gid",
        "port",
        "preferred_port",
        "address",  # its certificate names it
        "settings",
        "passwords",
        "uses",
        "data_stays",
        "mark",
    )
    fixed: ClassVar = FIXED

    def check_settings(self, inputs: Bag, old: Bag) -> None:
        """Let its kind look at them, and say what an archive takes."""
        part.check(_spec(inputs))
        archiving = bool((inputs.get("settings") or {}).get("archiving"))
        if old and archiving != bool(old.get("archiving")):
            what = "begins to archive" if archiving else "no longer archives"
            tell(inputs["name"], [f"{what} its log, which takes another container and so a restart of some seconds"])

    def make(self, inputs: DockerFilesInputs) -> Bag:
        """Write what differs."""
        digest = part.write_files(inputs.spec, inputs.image_id, inputs.passwords)
        return {"digest": digest, certificates.OUTPUT: self.certificate(inputs)}

    def look(self, state: Bag) -> Bag | None:
        """Read what lies beside the files."""
        digest = part.written(_spec(state), state["image_id"])
        return {"digest": digest, **self.look_at_certificate(state)} if digest else None

    def remove(self, state: Bag) -> None:
        """Strike it out; its volumes are resources of their own."""
        part.forget(_spec(state))


class DockerFiles(Managed, module="keelson", name="DockerFiles"):
    """What a part's container reads; `digest` changes with it, `certificate` says when it does by itself."""

    provider = DockerFilesProvider
    computed = ("digest", certificates.OUTPUT)

    digest: Output[str]
    certificate: Output[dict[str, str]]


class DockerPartProvider(ProcessProvider[DockerProcessInputs]):
    """Waited for, and brought to what its files say; the container itself is another resource."""

    inputs = DockerProcessInputs
    compared: ClassVar = ("container", "digest", "settings")
    fixed: ClassVar = FIXED

    def make(self, inputs: DockerProcessInputs) -> Bag:
        """Wait until it answers as its files say now."""
        port, notes = part.bring(inputs.spec)
        tell(inputs.name, notes)
        return {"listens_on": port}

    def look(self, state: Bag) -> Bag | None:
        """Read where it listens."""
        spec = _spec(state)
        with daemon.sentences(spec.place):
            return {"listens_on": part.published_port(spec)} if part.find_container(spec) else None


class DockerPart(Managed, module="keelson", name="DockerPart"):
    """A part that answers; `listens_on` is its port on the daemon's machine, 0 where it has none."""

    provider = DockerPartProvider
    computed = ("listens_on",)

    listens_on: Output[int]


def _spec(bag: Bag) -> DockerSpec:
    return values.decode(DockerPartInputs, bag).spec
