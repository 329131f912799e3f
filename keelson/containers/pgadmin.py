"""pgAdmin in a container, of the official image or of the one made here, which takes the same variables and files.

| file of the config volume | holds |
|---|---|
| `servers.json` | the list: a group for each server, and in it what may be opened, as which role |
| `pgpass` | the passwords of the list's roles, as libpq has them |
| `ca.crt` | what the servers' certificates are checked with |
| `password` | of pgAdmin's administrator |

The image made here follows these files while it runs. The official one reads the list at each start, so another list makes another
container there; the list's passwords from a copy, and the administrator's once, so whoever brings it up sets both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from keelson import pgpass
from keelson.containers import state
from keelson.containers.agent import EVERYWHERE
from keelson.containers.model import CONFIG, ContainerSettings, Healthcheck, Memory, Mount, PartSpec
from keelson.docker.images.recipes import REPOSITORY
from keelson.endpoint import MAINTENANCE_DATABASE
from keelson.pgadmin import configuration, sign_on
from keelson.pgadmin.stack import CLIENT, LOGIN

PORT = 5050
SERVERS_PORT = 5432
DATA = "/var/lib/pgadmin"
PASSWORDS = ".pgpass"  # in the storage of the administrator, where the official image copies it
DISTRO = "/tmp/config_distro.py"  # noqa: S108 - inside the container
ELSEWHERE = {  # where an image keeps things is its own
    *("DATA_DIR", "SQLITE_PATH", "CONFIG_DATABASE_URI", "SESSION_DB_PATH", "STORAGE_DIR", "LOG_FILE"),
    *("AZURE_CREDENTIAL_CACHE_DIR", "KERBEROS_CCACHE_DIR"),
}
HEALTH = (
    "import sys, urllib.request\n"
    "try:\n"
    f"    said = urllib.request.urlopen('http://127.0.0.1:{PORT}/misc/ping', timeout=8).read(100)\n"
    "except OSError as fault:\n"
    "    sys.exit(f'pgAdmin does not answer ({getattr(fault, \"reason\", fault)})')\n"
    "sys.exit(said != b'PING' and 'pgAdmin answers otherwise than usual')"
)
COPY = f"""
cd {DATA}/storage/"$1" 2>/dev/null || exit 0
umask 077
cp {CONFIG}/pgpass {PASSWORDS}.new
mv {PASSWORDS}.new {PASSWORDS}
"""
# Its configuration is made at each start, and pgAdmin looks for it by this variable.
SET_PASSWORD = f'[ ! -e {DISTRO} ] || CONFIG_DISTRO_FILE_PATH={DISTRO} exec /venv/bin/python3 -c "$1" "$2"'


PROGRAM = "sign_on.py"


class PgAdminKind:
    """What is particular to pgAdmin; see `keelson.containers.kinds.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = ("admin",)
    listens_on = PORT

    def check(self, spec: PartSpec) -> None:
        """Raise SettingsError for an address that cannot log in."""
        from keelson.local.pgadmin import check_email  # noqa: PLC0415 - needs more than a container does

        check_email(spec.settings)

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like."""
        return ContainerSettings(
            environment=_variables(spec)
            | _hardening(spec)
            | _signing_on(spec)
            | ({} if follows(spec) else {"KEELSON_LIST": _digest(spec)}),
            volumes={"config": Mount(CONFIG, read_only=True), "data": Mount(DATA)},
            networks=("admin", "outside") if "oidc" in spec.settings else ("admin",),  # to the issuer
            memory={"/tmp": Memory(256)},  # noqa: S108 - inside the container
            healthcheck=Healthcheck(("python3", "-I", "-c", HEALTH), interval=30, timeout=10, start_period=120),
            stop_signal="SIGQUIT",  # gunicorn's quick end: SIGTERM would wait for open pages
            stop_timeout=10,
        )

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return list, passwords and certificate; passwords that are missing are made."""
        return {
            "servers.json": _list(spec),
            "pgpass": "".join(_password_lines(spec)),
            "ca.crt": str(state.ask(spec.place, spec.key, "authority")),
            "password": state.password(spec, LOGIN),
            **(_files_of_sign_on(spec) if "oidc" in spec.settings else {}),
        }


def follows(spec: PartSpec) -> bool:
    """Say whether the image follows its files: the one made here does."""
    return spec.image.startswith(f"{REPOSITORY}/")


def _variables(spec: PartSpec) -> dict[str, str]:
    return {
        "PGADMIN_DEFAULT_EMAIL": str(spec.settings["email"]),
        "PGADMIN_DEFAULT_PASSWORD_FILE": f"{CONFIG}/password",
        "PGADMIN_LISTEN_ADDRESS": EVERYWHERE,
        "PGADMIN_LISTEN_PORT": str(PORT),
        "PGADMIN_SERVER_JSON_FILE": f"{CONFIG}/servers.json",
        "PGADMIN_REPLACE_SERVERS_ON_STARTUP": "True",
        "PGADMIN_DISABLE_POSTFIX": "True",
        "PGADMIN_CUSTOM_CONFIG_DISTRO_FILE": DISTRO,
        "PGPASS_FILE": f"{CONFIG}/pgpass",
        "PGSSLROOTCERT": f"{CONFIG}/ca.crt",
        "GUNICORN_ACCESS_LOGFILE": "/dev/null",
    }


def _hardening(spec: PartSpec) -> dict[str, str]:
    """Return the configuration that a laptop's pgAdmin has too, as variables with values as Python writes them."""
    ours = configuration.values(Path(DATA), spec.key, protected=bool(spec.settings.get("protected")))
    hosts = {*configuration.HOSTS, *spec.hosts} if spec.hosts is not None else set[str]()
    ours |= {"ALLOWED_HOSTS": sorted(hosts)}  # none: by whatever name
    if page := spec.settings.get("page"):
        public = configuration.page(page["host"], encrypted=bool(page["encrypted"]))
        ours |= public | {"ALLOWED_HOSTS": sorted({*configuration.HOSTS, *spec.known_as, page["host"]})}
    if oidc := spec.settings.get("oidc"):
        ours |= configuration.sign_on(oidc)
    return {f"PGADMIN_CONFIG_{name}": repr(value) for name, value in ours.items() if name not in ELSEWHERE}


def _signing_on(spec: PartSpec) -> dict[str, str]:
    """Return how pgAdmin finds the files about login by OpenID Connect: the official image by an expression of its configuration."""
    if "oidc" not in spec.settings:
        return {}
    if follows(spec):
        return {"KEELSON_OIDC_FILE": f"{CONFIG}/{sign_on.FILE}"}
    about = hashlib.sha256(json.dumps(spec.settings["oidc"], sort_keys=True).encode()).hexdigest()[:12]
    run = f"__import__('runpy').run_path('{CONFIG}/{PROGRAM}')['of_official_image']('{CONFIG}')"
    return {"PGADMIN_CONFIG_OAUTH2_CONFIG": run, "KEELSON_OIDC": about}


def _files_of_sign_on(spec: PartSpec) -> dict[str, str]:
    oidc = dict(spec.settings["oidc"])
    if oidc["confidential"]:
        oidc["client_secret"] = state.password(spec, CLIENT)
    program = {} if follows(spec) else {PROGRAM: Path(sign_on.__file__).read_text(encoding="utf-8")}
    return {sign_on.FILE: json.dumps(oidc, indent=2) + "\n", **program}


def _list(spec: PartSpec) -> str:
    entries = {str(number): _entry(spec, entry) for number, entry in enumerate(spec.settings["entries"], 1)}
    return json.dumps({"Servers": entries}, indent=2) + "\n"


def _entry(spec: PartSpec, entry: Mapping[str, str]) -> dict[str, Any]:
    database = entry.get("database", "")
    restriction = {"DBRestriction": database, "DBRestrictionType": "databases"} if database else {}
    return {
        "Group": entry["group"],
        "Name": entry["name"],
        "Host": spec.host_of(entry["server"]),
        "Port": SERVERS_PORT,
        "MaintenanceDB": database or MAINTENANCE_DATABASE,
        "Username": entry["role"],
        "ConnectionParameters": {"sslmode": "verify-full", "passfile": f"/{PASSWORDS}", "connect_timeout": 10},
    } | restriction


def _password_lines(spec: PartSpec) -> list[str]:
    """Return a line for each role of a server."""
    lines = []
    for server, role in sorted({(entry["server"], entry["role"]) for entry in spec.settings["entries"]}):
        password = str(state.ask(spec.place, spec.key, "ensure_password", server=server, role=role))
        lines.append(pgpass.line(spec.host_of(server), str(SERVERS_PORT), "*", role, password))
    return lines


def _digest(spec: PartSpec) -> str:
    return hashlib.sha256(_list(spec).encode()).hexdigest()[:12]
