"""The images made here: what is in each, how it starts, and the tag that follows from both.

| image | on top of | adds |
|---|---|---|
| `base` | the private Debian root | |
| `postgres`, `timescaledb`, `redis` | base | a user, an entrypoint |
| `postgres-ha` | base | a user, the server's programs first in PATH: CloudNativePG starts it, with programs of its own |
| `pgbouncer`, `haproxy`, `postgres-exporter`, `redis-exporter` | base | a user; the program is what starts |
| `pgadmin-packages`, `agent-packages` | base | packages of PyPI |
| `pgadmin`, `agent` | their packages | a user, Keelson's sources |

All share the base; an edit of Keelson's sources makes another `agent` of some hundred files and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keelson.docker.images.archive as archive  # noqa: PLR0402 - the package imports this module
from keelson import fingerprint
from keelson.containers.model import DATA_PATH, STATE_PATH
from keelson.docker.images.archive import Member
from keelson.docker.images.packages import PLACE, Packages
from keelson.docker.images.traits import Traits
from keelson.errors import SettingsError
from keelson.local import root as private
from keelson.local.root import MANIFEST, PrivateRoot
from keelson.pgadmin import packages as of_pgadmin

REPOSITORY = "keelson"
NAME_LABEL = "keelson.image"
NAMES = (
    *("postgres", "timescaledb", "redis", "pgadmin", "agent"),
    *("postgres-ha", "pgbouncer", "haproxy", "postgres-exporter", "redis-exporter"),
)
FORMAT = 1  # raised when this module makes other content of the same ingredients

_FILES = Path(__file__).with_name("files")
_DIGITS = 12
_PATH = "/usr/local/bin:/usr/bin:/usr/sbin"
_PARTS_OF_MANIFEST = ("key", "packages", "files")
_ENTRYPOINT = "usr/local/bin/docker-entrypoint.sh"
AGENT_WANTED, AGENT_LOCK = _FILES / "agent.in", _FILES / "agent.lock"
_AGENT = Packages("agent", AGENT_LOCK)
_PGADMIN = Packages("pgadmin", of_pgadmin.LOCK, tuple(f"pgadmin4/{pattern}" for pattern in of_pgadmin.LEFT_OUT))
SOURCES_OF_PGADMIN = ("__init__.py", "errors.py", "paths.py", "pgadmin", "pgpass.py")
_PLACE_OF_SOURCES = "usr/local/lib/keelson"  # not where pgAdmin's own packages are: it takes them away from its path


@dataclass(frozen=True)
class Recipe:
    """How an image is made.

    Attributes:
        name: of the image.
        parent: what it stands on; None for the base.
        instructions: its configuration, as lines of a Dockerfile.
        content: what changes with its files.
        members: its files, given only when they are wanted.
        stop_signal: what asks its process to end, where that is not SIGTERM; older daemons take it by no instruction.
        version: what its tag begins with, where somebody reads that out of it.
    """

    name: str
    parent: Recipe | None
    instructions: tuple[str, ...]
    content: str
    members: Callable[[], Iterable[Member]]
    stop_signal: str = ""
    version: str = ""

    @property
    def key(self) -> str:
        """Digits that change with all that goes into the image."""
        parts = [FORMAT, self.name, self.parent and self.parent.key, self.instructions, self.stop_signal, self.content]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]

    @property
    def reference(self) -> str:
        """What the daemon knows it by."""
        return f"{REPOSITORY}/{self.name}:{'-'.join(filter(None, (self.version, self.key)))}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The instruction that labels it."""
        return (f'LABEL {NAME_LABEL}="{self.name}"',)


@dataclass(frozen=True)
class Account:
    """Whom an image's process is."""

    name: str
    uid: int
    gid: int
    home: str

    def members(self) -> tuple[Member, Member]:
        """Return the lists of users and groups that know it."""
        users = f"root:x:0:0:root:/root:/bin/sh\n{self.name}:x:{self.uid}:{self.gid}::{self.home}:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
        groups = f"root:x:0:\n{self.name}:x:{self.gid}:\nnobody:x:65534:\n"
        return Member("etc/passwd", content=users.encode()), Member("etc/group", content=groups.encode())

    def owns(self, *places: str, mode: int = 0o755) -> Iterator[Member]:
        """Return directories that belong to it, those above first: a new volume that is mounted there takes that over."""
        for place in places:
            above = [str(folder) for folder in reversed(Path(place.strip("/")).parents)][1:]
            yield from (archive.directory(folder) for folder in above if f"/{folder}" not in places)
            yield archive.directory(place.strip("/"), uid=self.uid, gid=self.gid, mode=mode)


POSTGRES = Account("postgres", 999, 999, "/var/lib/postgresql")
TIMESCALEDB = Account("postgres", 1000, 1000, "/home/postgres")
HA = Account("postgres", 26, 26, "/var/lib/postgresql")  # what CloudNativePG takes a server's user for, if not told
HA_DATA = f"{HA.home}/data"
REDIS = Account("redis", 999, 999, "/data")
PGADMIN = Account("pgadmin", 5050, 0, "/var/lib/pgadmin")
AGENT = Account("keelson", 10001, 10001, "/tmp")  # noqa: S108  # inside the container, a file system of its own
PGBOUNCER = Account("pgbouncer", 998, 996, "/tmp")  # noqa: S108  # ids as in CloudNativePG's own image
HAPROXY = Account("haproxy", 99, 99, "/tmp")  # noqa: S108
EXPORTER = Account("exporter", 65532, 65532, "/tmp")  # noqa: S108


_SERVERS = ("postgres", "timescaledb", "postgres-ha")
_PROGRAMS = {  # by image: whom its only process is, and what that runs
    "pgbouncer": (PGBOUNCER, "/usr/sbin/pgbouncer"),
    "haproxy": (HAPROXY, "/usr/sbin/haproxy"),
    "postgres-exporter": (EXPORTER, "/usr/bin/prometheus-postgres-exporter"),
    "redis-exporter": (EXPORTER, "/usr/bin/prometheus-redis-exporter"),
}
_LINKS = {"pgbouncer": archive.link("usr/bin/pgbouncer", "/usr/sbin/pgbouncer")}  # where CloudNativePG starts it


def find(name: str) -> Recipe:
    """Return the recipe of an image.

    Raises:
        PlatformError: the private root is missing.
        SettingsError: there is no such image.
    """
    root = private.find()
    makers: dict[str, Callable[[PrivateRoot], Recipe]] = {
        "postgres": _postgres,
        "timescaledb": _timescaledb,
        "redis": _redis,
        "pgadmin": _pgadmin,
        "agent": _agent,
        "postgres-ha": _postgres_ha,
        **{name: partial(_program, name=name) for name in _PROGRAMS},
    }
    if name not in makers:
        msg = f"there is no image {name!r}; there are {', '.join(NAMES)}"
        raise SettingsError(msg)
    return makers[name](root)


def traits(name: str) -> Traits:
    """Return what a container's definition must know of an image made here; raises as `find` does."""
    root, recipe = private.find(), find(name)
    account, data = {
        "postgres": (POSTGRES, "/var/lib/postgresql/data"),
        "timescaledb": (TIMESCALEDB, "/home/postgres/pgdata/data"),
        "redis": (REDIS, "/data"),
        "pgadmin": (PGADMIN, "/var/lib/pgadmin"),
        "agent": (AGENT, STATE_PATH),
        "postgres-ha": (HA, HA_DATA),
        **{name: (account, "") for name, (account, _) in _PROGRAMS.items()},
    }[name]
    programs = "/usr/bin" if name == "redis" else str(root.binaries)
    edition = root.timescale_edition if name in {"timescaledb", "postgres-ha"} else ""
    return Traits(
        recipe.reference,
        account.uid,
        account.gid,
        data,
        programs,
        edition,
        pgaudit=name in _SERVERS and root.has_pgaudit,
    )


def _base(root: PrivateRoot) -> Recipe:
    manifest: dict[str, object] = json.loads((root.path / MANIFEST).read_text(encoding="utf-8"))
    points = [str(place).strip("/") for place in manifest["mount_points"]]  # type: ignore[attr-defined]

    def members() -> Iterator[Member]:
        yield from archive.tree(root.path, without=[*points, "tmp", "root", "run/postgresql", "var/run"])
        yield archive.directory("tmp", mode=0o1777)
        yield archive.directory("root", mode=0o700)
        yield archive.directory("run/postgresql", mode=0o1777)
        yield archive.link("var/run", "/run")  # where PostgreSQL's programs look for the socket

    instructions = (f"ENV PATH={_PATH} LANG=C.UTF-8 TZ=Etc/UTC", "WORKDIR /")
    return Recipe("base", None, instructions, json.dumps([manifest[part] for part in _PARTS_OF_MANIFEST]), members)


def _postgres(root: PrivateRoot) -> Recipe:
    return _server(root, "postgres", POSTGRES, ("/var/lib/postgresql", "/var/lib/postgresql/data"), ())


def _timescaledb(root: PrivateRoot) -> Recipe:
    more = (
        "ENV POSTGRES_PRELOAD_LIBRARIES=timescaledb",
        f"LABEL TS_EDITION={root.timescale_edition} TS_VERSION={root.timescale_version}",
    )
    places = ("/home/postgres", "/home/postgres/pgdata", "/home/postgres/pgdata/data")
    return _server(root, "timescaledb", TIMESCALEDB, places, more)


def _server(root: PrivateRoot, name: str, account: Account, places: tuple[str, ...], more: tuple[str, ...]) -> Recipe:
    data = places[-1]
    instructions = (
        f"ENV PATH={root.binaries}:{_PATH} PGDATA={data}",
        f"ENV PG_MAJOR={root.postgres_major} PG_VERSION={root.postgres_version} KEELSON_USER={account.uid}:{account.gid}",
        *more,
        *_start(account, "postgres", data),
        "EXPOSE 5432",
    )
    members = [
        *account.members(),
        *account.owns(*places),
        archive.directory("docker-entrypoint-initdb.d"),
        _entrypoint("postgres.sh"),
    ]
    return _small(name, _base(root), instructions, members, "SIGINT")  # a fast shutdown; SIGTERM waits for clients


def _postgres_ha(root: PrivateRoot) -> Recipe:
    """Return what CloudNativePG asks of an image: the server's programs in PATH, its user, and a tag that begins with its version."""
    instructions = (
        f"ENV PATH={root.binaries}:{_PATH} PG_MAJOR={root.postgres_major} PG_VERSION={root.postgres_version}",
        f"LABEL TS_EDITION={root.timescale_edition} TS_VERSION={root.timescale_version}",
        f"USER {HA.uid}:{HA.gid}",
    )
    members = [*HA.members(), *HA.owns(HA.home, HA_DATA)]
    return replace(_small("postgres-ha", _base(root), instructions, members), version=root.postgres_version)


def _program(root: PrivateRoot, name: str) -> Recipe:
    """Return an image of one program of the root, which keeps nothing."""
    account, program = _PROGRAMS[name]
    instructions = (f"ENV PATH={_PATH}", f"USER {account.uid}:{account.gid}", f'ENTRYPOINT ["{program}"]')
    links = [_LINKS[name]] if name in _LINKS else []
    return _small(name, _base(root), instructions, [*account.members(), *links])


def _redis(root: PrivateRoot) -> Recipe:
    instructions = (*_start(REDIS, "redis-server", "/data"), "WORKDIR /data", "EXPOSE 6379")
    return _small("redis", _base(root), instructions, [*REDIS.members(), *REDIS.owns("/data"), _entrypoint("redis.sh")])


def _pgadmin(root: PrivateRoot) -> Recipe:
    instructions = (
        "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1",
        f"USER {PGADMIN.uid}:{PGADMIN.gid}",
        f'ENTRYPOINT ["python3", "-I", "/{_PLACE_OF_SOURCES}/keelson/pgadmin/serve.py", "mounted"]',
        'VOLUME ["/var/lib/pgadmin"]',
        "EXPOSE 80",
    )
    members = [
        *PGADMIN.members(),
        *PGADMIN.owns("/var/lib/pgadmin"),
        archive.directory("pgadmin4"),  # where the list of servers is mounted
        *_sources(_PLACE_OF_SOURCES, [fingerprint.PACKAGE / name for name in SOURCES_OF_PGADMIN]),
    ]
    return _small("pgadmin", _packages(root, _PGADMIN), instructions, members, "SIGQUIT")


def _agent(root: PrivateRoot) -> Recipe:
    instructions = (
        f"ENV PATH={root.binaries}:{_PATH} HOME=/tmp KEELSON_INSIDE=1",
        f"ENV XDG_STATE_HOME={STATE_PATH} XDG_DATA_HOME={DATA_PATH}",
        "ENV XDG_CACHE_HOME=/tmp/cache XDG_RUNTIME_DIR=/tmp/run",
        "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=1",
        f"USER {AGENT.uid}:{AGENT.gid}",
        'CMD ["sleep", "infinity"]',
    )
    members = [
        *AGENT.members(),
        *AGENT.owns(STATE_PATH, DATA_PATH, mode=0o700),
        *_sources(PLACE, [fingerprint.PACKAGE]),
    ]
    return _small("agent", _packages(root, _AGENT), instructions, members)


def _small(
    name: str, parent: Recipe, instructions: tuple[str, ...], members: list[Member], stop_signal: str = ""
) -> Recipe:
    """Return the recipe of an image whose files are few enough to be read for its key."""
    return Recipe(name, parent, instructions, archive.digest(members), lambda: members, stop_signal)


def _packages(root: PrivateRoot, packages: Packages) -> Recipe:
    def members() -> Iterator[Member]:
        yield from archive.tree(packages.ensure(root), PLACE)

    return Recipe(f"{packages.name}-packages", _base(root), (), packages.key, members)


def _sources(place: str, paths: Iterable[Path]) -> Iterator[Member]:
    """Return some of Keelson's sources as a package below `place`, as they are now: the key is theirs, whoever edits them."""
    above = fingerprint.PACKAGE.parent
    yield archive.directory(f"{place}/{fingerprint.PACKAGE.name}")
    for path in paths:
        at = f"{place}/{path.relative_to(above)}"
        if path.is_dir():
            for member in archive.tree(path, at, names_without=["__pycache__"]):
                content = member.content if isinstance(member.content, bytes) else member.content.read_bytes()
                yield replace(member, content=content)
        else:
            yield archive.directory(str(Path(at).parent))
            yield Member(at, content=path.read_bytes())


def _entrypoint(file: str) -> Member:
    return Member(_ENTRYPOINT, 0o755, content=(_FILES / file).read_bytes())


def _start(account: Account, program: str, volume: str) -> tuple[str, ...]:
    return (
        f"USER {account.uid}:{account.gid}",
        f'ENTRYPOINT ["/{_ENTRYPOINT}"]',
        f'CMD ["{program}"]',
        f'VOLUME ["{volume}"]',
    )
