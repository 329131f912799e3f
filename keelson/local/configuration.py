"""A server's postgresql.conf and pg_hba.conf.

initdb's postgresql.conf stays as it is, but for one line that includes `keelson.conf`, which is written here: what the
platform decides, defaults for a small machine, and the parameters of the stack's settings. What a server is told does not
depend on where it runs, but for its `Place`; other targets write the same values.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import paths
from keelson.backups.physical.archiving import IN_SANDBOX, Layout
from keelson.backups.physical.chosen import ENGINE
from keelson.errors import ServerError, SettingsError
from keelson.local import archive, tls
from keelson.local.root import DATA, PrivateRoot
from keelson.settings.limits import SHARED_BUFFERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from keelson.local.spec import ServerSpec

INCLUDE = "include 'keelson.conf'"
HBA_HEAD = "# Written by Keelson. Passwords only, from this machine only.\n"
OPEN = (  # where nobody says which services a server holds: one that no update of this release has seen
    "host all all 127.0.0.1/32 scram-sha-256",
    "host replication postgres 127.0.0.1/32 scram-sha-256",
)
PRELOADED = ("pg_stat_statements",)
NEWEST_TLS = "TLSv1.3"
AUDIT = "pgaudit"
DEFAULTS = {
    "shared_buffers": SHARED_BUFFERS,
    "max_connections": "200",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "min_wal_size": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",  # compiling costs more than it gives on small data, and loads LLVM into each backend
    "wal_level": "replica",
    "log_line_prefix": "%m [%p] %q%u@%d/%a(%h) ",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_statement": "ddl",
    "log_min_duration_statement": "1s",
    "log_lock_waits": "on",
    "log_autovacuum_min_duration": "10s",
    "track_io_timing": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "ssl_min_protocol_version": NEWEST_TLS,  # or 1.2, for clients that know no better
}
PROTOCOLS = ("TLSv1.2", NEWEST_TLS)
AUDIT_DEFAULTS = {"pgaudit.log": "ddl, role"}  # no statement on rows, and of no statement its parameters
TIMESCALE_DEFAULTS = {
    "max_locks_per_transaction": "256",  # a statement locks every chunk that it touches
    "timescaledb.max_background_workers": "8",
    "max_worker_processes": "19",  # TimescaleDB's and its launcher, replication's launcher, the parallel ones
}
OWNED = {
    "allow_alter_system": "parameters are set in the stack's settings alone",
    "archive_command": "backups set it",
    "archive_library": "backups set it",
    "archive_mode": "backups rely on it",
    "cluster_name": "it marks the server's processes",
    "config_file": "the platform places the files",
    "data_directory": "the platform places the files",
    "external_pid_file": "the platform places the files",
    "hba_file": "the platform places the files",
    "ident_file": "the platform places the files",
    "listen_addresses": "the platform decides who reaches the server",
    "log_destination": "the platform keeps the log",
    "logging_collector": "the platform keeps the log",
    "password_encryption": "logins use SCRAM",
    "port": "set `port` of the server in its place",
    "ssl": "connections are encrypted",
    "ssl_ca_file": "the platform makes the certificates",
    "ssl_cert_file": "the platform makes the certificates",
    "ssl_key_file": "the platform makes the certificates",
    "unix_socket_directories": "the platform places the files",
}
EXPOSED = "60s"  # after which what was written is archived, however little it is
RELOAD_SECONDS = 10
POLL = 0.02
SAID = re.compile(r"(?:LOG|FATAL|ERROR):\s+(.*)")


@dataclass(frozen=True)
class Place:
    """Where a server listens, and where it finds its sockets and certificates, as it sees them itself."""

    addresses: str
    sockets: str
    certificates: str
    archiving: Layout = IN_SANDBOX


HERE = Place("127.0.0.1", f"{DATA}/run", f"{DATA}/tls")


def check(spec: ServerSpec, root: PrivateRoot) -> None:
    """Let PostgreSQL itself read the parameters, without a data directory.

    Raises:
        SettingsError: a parameter is unknown, has a wrong value, or is the platform's own.
    """
    check_names(spec)
    if not spec.parameters:
        return
    with tempfile.TemporaryDirectory(prefix="keelson-") as directory:
        (Path(directory) / "trial.conf").write_text(render(values(spec, 5432)), encoding="utf-8")
        argv = [root.program("postgres"), "-C", "port", "-D", str(DATA), "-c", f"config_file={DATA}/trial.conf"]
        done = root.finish(argv, data=Path(directory))
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        raise refused(spec, said) or ServerError(
            f"server {spec.name}: PostgreSQL did not read its parameters ({said.strip()}); run `make setup`"
        )


def check_beside(spec: ServerSpec) -> None:
    """Let the PostgreSQL of PATH read the parameters, as `check` does; raises SettingsError."""
    check_names(spec)
    with tempfile.TemporaryDirectory(prefix="keelson-") as directory:
        trial = Path(directory) / "trial.conf"
        trial.write_text(render(values(spec, 5432)), encoding="utf-8")
        argv = ["postgres", "-C", "port", "-D", directory, "-c", f"config_file={trial}"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise refused(spec, done.stderr) or ServerError(
            f"server {spec.name}: PostgreSQL did not read its parameters ({done.stderr.strip()})"
        )


def check_names(spec: ServerSpec) -> None:
    """Check what can be known of the parameters without PostgreSQL.

    Raises:
        SettingsError: a parameter has no possible name, is of an extension that is not loaded, or is the platform's own.
    """
    for name, value in spec.parameters.items():
        _check_name(spec, name.lower(), value)


def refused(spec: ServerSpec, output: str) -> SettingsError | None:
    """Return PostgreSQL's own words about the first wrong parameter, without the name of the trial's file; None for none."""
    said = [
        found[1] for line in output.splitlines() if (found := SAID.search(line)) and "skipping missing" not in found[1]
    ]
    return _wrong(spec, re.sub(r' in file ".*', "", said[0])) if said else None


def values(spec: ServerSpec, port: int, place: Place = HERE) -> dict[str, str]:
    """Return all that the platform's configuration file sets, by name."""
    given = {name.lower(): value for name, value in spec.parameters.items()}
    libraries = [word.strip() for word in given.pop("shared_preload_libraries", "").split(",") if word.strip()]
    preloaded = [
        *(["timescaledb"] if spec.timescale else []),
        *PRELOADED,
        *([AUDIT] if spec.pgaudit else []),
        *libraries,
    ]
    return {
        **DEFAULTS,
        **(TIMESCALE_DEFAULTS if spec.timescale else {}),
        **(AUDIT_DEFAULTS if AUDIT in preloaded else {}),
        **({"archive_timeout": EXPOSED} if spec.archiving else {}),
        **given,
        **_own(spec, port, place),
        "shared_preload_libraries": ",".join(dict.fromkeys(preloaded)),
    }


def render(settings: Mapping[str, str]) -> str:
    """Return the text of a configuration file."""
    lines = [f"{name} = {_quoted(value)}" for name, value in sorted(settings.items())]
    return "\n".join(["# Written by Keelson from the stack's settings; changes here are lost.", *lines]) + "\n"


def write(spec: ServerSpec, port: int) -> bool:
    """Write a server's configuration and see to its certificate; True if that is a new one."""
    pgdata = spec.directory / "pgdata"
    archive.configure(spec, port)
    certified = tls.ensure_server(spec.key, spec.directory / "tls", spec.name)
    tls.ensure_clients(spec.key, spec.name, spec.certified)
    paths.private_directory(spec.directory / "run")
    _replace(pgdata / "keelson.conf", render(values(spec, port)))
    _replace(pgdata / "pg_hba.conf", HBA_HEAD + "".join(f"{rule}\n" for rule in spec.hba or OPEN))
    main = _read(pgdata / "postgresql.conf")
    if INCLUDE not in main.splitlines():
        paths.write_private(pgdata / "postgresql.conf", f"{main.rstrip()}\n\n{INCLUDE}\n")
    return certified


def reload(connection: psycopg.Connection, server: str) -> tuple[str, ...]:
    """Let a running server read its files again; return the changed parameters that wait for a restart.

    Raises:
        ServerError: it did not read them in time.
    """
    before = connection.execute("select pg_conf_load_time(), pg_reload_conf()").fetchone()
    deadline = time.monotonic() + RELOAD_SECONDS
    while connection.execute("select pg_conf_load_time()").fetchone()[0] == before[0]:  # type: ignore[index]
        if time.monotonic() > deadline:
            msg = f"server {server} did not read its new configuration within {RELOAD_SECONDS} s; look at its log"
            raise ServerError(msg)
        time.sleep(POLL)
    return tuple(
        name for (name,) in connection.execute("select name from pg_settings where pending_restart order by 1")
    )


def _own(spec: ServerSpec, port: int, place: Place) -> dict[str, str]:
    return {
        "listen_addresses": place.addresses,
        "port": str(port),
        "unix_socket_directories": place.sockets,
        "cluster_name": spec.label,
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_cert_file": f"{place.certificates}/server.crt",
        "ssl_key_file": f"{place.certificates}/server.key",
        "ssl_ca_file": f"{place.certificates}/ca.crt",
        "archive_mode": "on",
        # What needs a restart is on from the start, whether there is an archive or not.
        "archive_command": ENGINE.command(place.archiving) if spec.archiving else "/bin/true",
        "allow_alter_system": "off",
        "log_destination": "stderr",
        "logging_collector": "off",
        **({"timescaledb.telemetry_level": "off"} if spec.timescale else {}),
    }


def _check_name(spec: ServerSpec, name: str, value: str) -> None:
    prefix, dot, _ = name.partition(".")
    if name in OWNED:
        reason = OWNED[name]
    elif name == "wal_level" and value == "minimal":
        reason = "backups need `replica` or `logical`"
    elif name in {"ssl_min_protocol_version", "ssl_max_protocol_version"} and value not in PROTOCOLS:
        reason = f"set {' or '.join(PROTOCOLS)}: what is older is broken"
    elif not re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", name):
        name, reason = repr(name), "that is not a parameter's name"
    elif dot and prefix not in values(spec, 0)["shared_preload_libraries"].split(","):
        reason = f"the server does not load {prefix}"
    else:
        return
    raise _wrong(spec, f"the parameter {name} cannot be set ({reason})")


def _wrong(spec: ServerSpec, what: str) -> SettingsError:
    return SettingsError(f"server {spec.name}: {what}; correct `postgres` in the stack's settings")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
    return f"'{escaped}'"


def _replace(path: Path, text: str) -> None:
    if _read(path) != text:
        paths.write_private(path, text)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as fault:
        msg = f"cannot read {path}: {fault.strerror}; give its owner back the right to read it"
        raise ServerError(msg) from None
