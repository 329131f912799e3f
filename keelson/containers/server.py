"""A PostgreSQL server in a container, of the official image, Timescale's, or one made here.

Its configuration lies on a volume of its own, which it can only read; PostgreSQL's own file in the data directory is included first. So an
edited parameter is a reload, and never another container.
"""

from __future__ import annotations

from collections.abc import Mapping

from keelson.backups.physical.archiving import ARCHIVE, archiving_of
from keelson.backups.physical.chosen import ENGINE
from keelson.containers import alone, archive, state
from keelson.containers.model import CONFIG, ContainerSettings, Healthcheck, Memory, Mount, PartSpec
from keelson.local import configuration
from keelson.local.configuration import Place
from keelson.local.spec import ServerSpec
from keelson.postgres.admission import LOOPBACK, REJECT

ADMINISTRATOR = "postgres"
PORT = 5432
DATA = archive.DATA
DIRECTORY = "pgdata"  # below it: the volume's own may hold lost+found, and belongs to root
SOCKETS = archive.SOCKETS
INSIDE = Place("*", SOCKETS, CONFIG, archive.IN_CONTAINER)
HBA_HEAD = """\
# Written by Keelson. Over the networks encrypted and with passwords only; the socket is for repairs from inside the container.
local all postgres peer
"""
OPEN = (  # where nobody says which services a server holds
    "hostssl all all all scram-sha-256",
    *(f"hostssl replication postgres {address} scram-sha-256" for address in LOOPBACK),
    REJECT,
)
HERE = (
    f"host=localhost port={PORT} user={ADMINISTRATOR} dbname=postgres sslmode=verify-full sslrootcert={CONFIG}/ca.crt "
    "gssencmode=disable connect_timeout=4 application_name=health"
)
# It encrypts and is asked for a password, and leaves: the log gets one line, where a login and its end are four.
HEALTH = ("pg_isready", "--quiet", "--timeout=4", f"--dbname={HERE}")
# The password stands in the environment of one short process, and in no command line.
QUESTION = (
    f'PGPASSWORD="$(cat {CONFIG}/password)" exec psql --no-psqlrc --no-password --output=/dev/null --command="SELECT 1" '
    f'"{HERE}"'
)
UNRECORDED = """\
SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';
SET pg_stat_statements.track_utility = 'off'; SET standard_conforming_strings = on;
"""
REPAIR = (  # runs statements from its standard input as the administrator, by the container's own socket
    *("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
    *(f"--host={SOCKETS}", f"--username={ADMINISTRATOR}", "--dbname=postgres", "--output=/dev/null"),
)
SECONDS_TO_RECOVER = 600
SECONDS_TO_STOP = 120
SHARED_MEMORY = 256  # MB
BUILTIN_LOCALE = 17  # the major version from which PostgreSQL sorts by itself


class ServerKind:
    """See `keelson.containers.kinds.Kind` for what each method is for."""

    logins = (ADMINISTRATOR,)
    listens_on = PORT

    def check(self, spec: PartSpec) -> None:
        """Refuse parameters that are the platform's own, or whose name cannot be."""
        configuration.check_names(server_of(spec))

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return the postmaster's: its data, its configuration, and a place for its sockets."""
        return ContainerSettings(
            command=alone.alone(
                DATA,
                *("docker-entrypoint.sh", "postgres"),
                *("-c", f"config_file={CONFIG}/postgresql.conf"),
                *("-c", f"hba_file={CONFIG}/pg_hba.conf"),
            ),
            environment={
                "PGDATA": f"{DATA}/{DIRECTORY}",
                "POSTGRES_PASSWORD_FILE": f"{CONFIG}/password",
                "POSTGRES_INITDB_ARGS": " ".join(_initdb_options(spec)),
                "NO_TS_TUNE": "true",  # Timescale's image would guess parameters from the whole machine
            },
            volumes={"data": Mount(DATA), "config": Mount(CONFIG, read_only=True), **_archive(spec)},
            memory={SOCKETS: Memory(16, private=True), "/tmp": Memory(64)},  # noqa: S108 - inside the container
            healthcheck=Healthcheck(HEALTH, start_period=SECONDS_TO_RECOVER),
            stop_signal="SIGINT",  # fast: SIGTERM would wait for clients
            stop_timeout=SECONDS_TO_STOP,
            shm_size=SHARED_MEMORY,
            networks=("product", "admin"),
        )

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return its configuration, the administrator's password, and its certificate."""
        values = configuration.values(server_of(spec), PORT, INSIDE)
        certificates = state.ask(spec.place, spec.key, "certificate", server=spec.name, names=[*spec.known_as])
        state.ask(spec.place, spec.key, "ensure_clients", server=spec.name, logins=[*certified(spec)])
        return {
            "postgresql.conf": f"include_if_exists '{DATA}/{DIRECTORY}/postgresql.conf'\n{configuration.render(values)}",
            "pg_hba.conf": HBA_HEAD + "".join(f"{rule}\n" for rule in rules(spec)),
            "password": state.password(spec, ADMINISTRATOR),
            **certificates,
            **alone.files(),
            **_archiving(spec),
        }


def rules(spec: PartSpec) -> tuple[str, ...]:
    """Return who is let in over the networks, as lines of pg_hba.conf."""
    return tuple(spec.settings.get("hba") or OPEN)


def certified(spec: PartSpec) -> tuple[str, ...]:
    """Return the logins that show a certificate."""
    return tuple(spec.settings.get("certified") or ())


def repair(spec: PartSpec, said: str) -> tuple[str, str] | None:
    """Return what to tell, and the statements, by which `REPAIR` lets the administrator in again; None where nothing helps.

    A volume that was kept from an older stack knows another password, a server that runs since before has another certificate.
    """
    if "password authentication failed" in said:
        quoted = state.password(spec, ADMINISTRATOR).replace("'", "''")
        statements = f"{UNRECORDED}ALTER ROLE {ADMINISTRATOR} PASSWORD '{quoted}';\n\\q\n"
        return "its data knew another password of the administrator; it has that of the stack now", statements
    if "certificate" in said:
        return "it read its new certificate", "SELECT pg_reload_conf();\n\\q\n"
    return None


def server_of(spec: PartSpec) -> ServerSpec:
    """Return a part's specification as the configuration of a server is made from it."""
    parameters = {name: str(value) for name, value in spec.settings.get("parameters", {}).items()}
    return ServerSpec(
        key=spec.key,
        stack_id=spec.stack_id,
        name=spec.name,
        version_label=str(spec.settings.get("version", "")),
        parameters=parameters,
        timescale=bool(spec.settings.get("timescaledb")),
        pgaudit=bool(spec.settings.get("pgaudit")),
        archiving=archiving_of(spec.settings.get("archiving")),
    )


def _archive(spec: PartSpec) -> Mapping[str, Mount]:
    """Return where it sees its archive, if it keeps one."""
    return {archive.role(spec.name): Mount(str(ARCHIVE))} if spec.settings.get("archiving") else {}


def _archiving(spec: PartSpec) -> Mapping[str, str]:
    """Return the files of what archives it, if something does."""
    archiving = archiving_of(spec.settings.get("archiving"))
    if archiving is None:
        return {}
    secret = str(state.ask(spec.place, spec.key, "ensure_passphrase", server=spec.name))
    files = ENGINE.files(archiving, secret, PORT, archive.IN_CONTAINER)
    return {name: text for name, (text, _) in files.items()}


def _initdb_options(spec: PartSpec) -> tuple[str, ...]:
    label = str(spec.settings.get("version") or BUILTIN_LOCALE)
    builtin = ("--locale-provider=builtin",) if int(label.partition(".")[0]) >= BUILTIN_LOCALE else ()
    return ("--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8", *builtin)
