"""What a session may ask of the inside, each by the name of its function: all take the stack's key and plain values.

What a question needs is imported when it is asked: a session starts for each command, and most ask for a password.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keelson import paths
from keelson.errors import ServerError, UnreachableError
from keelson.inside.external import external, forget_external, take_external
from keelson.inside.upgrades import back_up_server
from keelson.local.registry import DaemonRecord, Registry, ServerRecord

ID_BYTES = 6
TAKEN = ".taken"  # which files `take_state` wrote last


def find(name: str) -> Callable[..., Any]:
    """Return an operation; raises UnreachableError for one that this version does not know."""
    operation = _OPERATIONS.get(name)
    if operation is None:
        msg = f"the toolbox knows nothing of {name!r}, so it is of another version; run `keelson up`"
        raise UnreachableError(msg)
    return operation


def register(key: str, environment: str, stack_id: str = "") -> str:
    """Make the stack's entry, or recognise the one that is there; return the stack's id.

    A stack that was known by `stack_id` keeps it where its entry is lost.
    """
    registry = Registry(key)
    known = registry.stack()
    mine = known.stack_id if known else stack_id or secrets.token_hex(ID_BYTES)
    return registry.claim(mine, environment=environment).stack_id


def mark(key: str) -> str:
    """Return a random text that stays for as long as what lies here does."""
    path = Registry(key).directory / "mark"
    if not path.exists():
        paths.private_directory(path.parent)
        paths.write_private(path, secrets.token_hex(ID_BYTES))
    return path.read_text(encoding="ascii")


def password(key: str, server: str, role: str) -> str:
    """Return a password; raises UnreachableError where there is none."""
    try:
        return Registry(key).password(server, role)
    except ServerError as fault:
        raise UnreachableError(str(fault)) from None


def ensure_password(key: str, server: str, role: str, chosen: str | None = None) -> str:
    """Keep `chosen`, else the password that is there, else a new one, and return it."""
    registry = Registry(key)
    if chosen:
        registry.set_password(server, role, chosen)
        return chosen
    return registry.ensure_password(server, role)


def turn(key: str, server: str, service: str) -> dict[str, Any]:
    """Return the fields of the Turn of a service's logins."""
    from keelson.local import turns  # noqa: PLC0415

    return asdict(turns.turn(key, server, service))


def hand_out(key: str, server: str, service: str, generation: int, passwords: Mapping[str, str]) -> dict[str, Any]:
    """Keep new passwords that the server takes already, and let a generation of a service's logins be in use; return its Turn."""
    from keelson.local import turns  # noqa: PLC0415

    return asdict(turns.hand_out(key, server, service, generation, passwords))


def forget_passwords(key: str, server: str) -> None:
    """Drop all passwords of a server or daemon, whose data is gone."""
    Registry(key).forget_passwords(server)


def record_server(key: str, stack_id: str, record: Mapping[str, Any]) -> None:
    """Write down where a server answers; `record` has the fields of a ServerRecord."""
    Registry(key).record(stack_id, ServerRecord(**record))


def record_daemon(key: str, stack_id: str, record: Mapping[str, Any]) -> None:
    """Write down where a Redis, pgAdmin or agent answers; `record` has the fields of a DaemonRecord."""
    Registry(key).record_daemon(stack_id, DaemonRecord(**record))


def forget(key: str, name: str) -> None:
    """Strike a server or daemon out."""
    Registry(key).forget(name)


def records(key: str) -> dict[str, dict[str, Any]]:
    """Return the fields of each ServerRecord under `servers`, and of each DaemonRecord under `daemons`, by name."""
    registry = Registry(key)
    return {
        "servers": {name: asdict(record) for name, record in registry.servers().items()},
        "daemons": {name: asdict(record) for name, record in registry.daemons().items()},
    }


def certificate(key: str, server: str, names: list[str]) -> dict[str, str]:
    """Return the texts of a server's certificate, its key and the authority's certificate, made where they are missing or old."""
    from keelson.local import registry, tls  # noqa: PLC0415

    place = registry.directory(key) / "tls" / server
    tls.ensure_server(key, place, server, names=names)
    return {name: (place / name).read_text(encoding="ascii") for name in ("server.crt", "server.key", "ca.crt")}


def ensure_clients(key: str, server: str, logins: list[str]) -> None:
    """Give logins of a server certificates, made where they are missing or old, and take those of others away."""
    from keelson.local import tls  # noqa: PLC0415

    tls.ensure_clients(key, server, logins)


def client_certificate(key: str, server: str, login: str) -> dict[str, str]:
    """Return the texts of a login's certificate and key, as `crt` and `key`; raises UnreachableError where there is none."""
    from keelson.local import tls  # noqa: PLC0415

    found = tls.client_files(key, server, login)
    return {"crt": found.certificate.read_text(encoding="ascii"), "key": found.key.read_text(encoding="ascii")}


def check_parameters(
    key: str, server: str, parameters: Mapping[str, str], *, timescale: bool, pgaudit: bool = False
) -> None:
    """Let PostgreSQL itself read a server's parameters; raises SettingsError where it does not understand one."""
    from keelson.local import configuration  # noqa: PLC0415
    from keelson.local.spec import ServerSpec  # noqa: PLC0415

    configuration.check_beside(ServerSpec(key, "", server, parameters=parameters, timescale=timescale, pgaudit=pgaudit))


def authority(key: str) -> str:
    """Return the text of the authority's certificate; nothing where there is none yet."""
    from keelson.local import tls  # noqa: PLC0415

    path = tls.authority_file(key)
    return path.read_text(encoding="ascii") if path.exists() else ""


def certificates(key: str) -> list[dict[str, str]]:
    """Return how long each server's certificate and the authority's is good: `server`, and in ISO 8601 `begins` and `expires`."""
    from keelson.local import authorities, registry, tls  # noqa: PLC0415

    found = (tls.certificate_of(name, registry.directory(key) / "tls" / name) for name in Registry(key).encrypted())
    clients = (each for name in Registry(key).servers() for each in tls.clients_of(key, name))
    return [
        {"server": each.server, "begins": each.begins.isoformat(), "expires": each.expires.isoformat()}
        for each in (*found, authorities.find(key), *clients)
        if each
    ]


def first_due(key: str, server: str = "") -> dict[str, str]:
    """Return which certificate is renewed first, the server's or the authority's; see `keelson.local.tls.first_due`."""
    from keelson.local import registry, tls  # noqa: PLC0415

    return tls.first_due(key, server, registry.directory(key) / "tls" / server if server else None)


def ensure_passphrase(key: str, server: str) -> str:
    """Return the passphrase of a server's archive: the one that the settings chose, else what is kept, else a new one."""
    from keelson.backups.physical import archiving  # noqa: PLC0415

    registry = Registry(key)
    known = registry.has_password(server, archiving.PASSPHRASE)
    chosen = registry.password(server, archiving.PASSPHRASE) if known else ""
    return archiving.ensure_passphrase(key, server, chosen)


def prepare_archive(key: str, server: str) -> None:
    """Let a server make its archive, or recognise it, and send it a file of the log; may take long."""
    from keelson.inside.archives import InsideArchives  # noqa: PLC0415

    InsideArchives().prepare(key, server)


def archive_state(key: str, reference: Mapping[str, str], limit: int) -> dict[str, Any]:  # noqa: ARG001
    """Return how a server's archive is, as `ArchiveState.values` gives it."""
    from keelson.backups.physical import state  # noqa: PLC0415
    from keelson.endpoint import Reference  # noqa: PLC0415

    return state.values(state.look(Reference(**reference), limit))


def plan_restore(key: str, reference: Mapping[str, str], moment: str = "", cluster: str = "") -> dict[str, Any]:  # noqa: ARG001
    """Return from which backup a moment is reached, the end where none is given, as `planning.values` gives it; may take long."""
    from datetime import datetime  # noqa: PLC0415

    from keelson.backups.physical import planning  # noqa: PLC0415
    from keelson.endpoint import Reference  # noqa: PLC0415

    at = datetime.fromisoformat(moment) if moment else None
    return planning.values(planning.plan(Reference(**reference), at, cluster))


def put_settings(key: str, text: str) -> None:
    """Keep the stack's settings, as `keelson.inside.settings.dump` gives them."""
    from keelson.inside import settings  # noqa: PLC0415

    settings.put(key, text)


def put_job(key: str, job: Mapping[str, Any]) -> None:
    """Write a job down; `job` has the fields of a Job."""
    from keelson.agent import jobs  # noqa: PLC0415

    jobs.put(key, jobs.from_values(job))


def find_job(key: str, name: str) -> dict[str, Any] | None:
    """Return one job's fields; None if it is not written down, or so that nobody can read it."""
    from keelson.agent import jobs  # noqa: PLC0415

    found = jobs.find(key, name)
    return asdict(found) if found else None


def drop_job(key: str, name: str) -> None:
    """Strike a job out."""
    from keelson.agent import jobs  # noqa: PLC0415

    jobs.drop(key, name)


def back_up(key: str, engine: str, reference: Mapping[str, str], reason: str, directory: str = "") -> str:
    """Back up a database or Redis, read it back, and return the backup's path; takes long."""
    from keelson.backups import making  # noqa: PLC0415
    from keelson.backups.store import Store  # noqa: PLC0415
    from keelson.endpoint import Reference  # noqa: PLC0415

    source = making.Source(engine, Reference(**reference))
    return str(making.back_up(source, Store(key, Path(directory) if directory else None), reason).path)


def overview(key: str, names: list[str], directory: str = "") -> dict[str, Any]:
    """Return what is known of the backups of `names`, as `Overview.values` gives it."""
    from keelson.backups.overview import overview as look  # noqa: PLC0415

    return look(key, names, Path(directory) if directory else None).values()


def disks(key: str, directory: str = "") -> dict[str, Any]:
    """Return what is known of the disks and files here, as the fields of a `Disks`."""
    from keelson.backups.disks import look  # noqa: PLC0415

    return asdict(look(key, Path(directory) if directory else None))


def take_state(key: str, files: Mapping[str, str]) -> None:
    """Replace the files of the stack's state that were taken before; where they are kept, and so changed, is elsewhere."""
    from keelson.inside import files as kept  # noqa: PLC0415

    directory = Registry(key).directory
    note = directory / TAKEN
    before = json.loads(note.read_text(encoding="utf-8")) if note.exists() else []
    kept.write(directory, files)
    for gone in set(before) - set(files):
        (directory / gone).unlink(missing_ok=True)
    paths.write_private(note, json.dumps(sorted(files)))


def make_incoming(key: str, name: str) -> int:  # noqa: ARG001
    """Make a directory beside the backups for what is copied here, and return whose it is."""
    paths.private_directory(paths.data() / name)
    return os.geteuid()


def remove_incoming(key: str, name: str) -> None:  # noqa: ARG001
    """Remove what was copied here."""
    shutil.rmtree(paths.data() / name, ignore_errors=True)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        register,
        mark,
        password,
        ensure_password,
        turn,
        hand_out,
        take_external,
        external,
        forget_external,
        forget_passwords,
        record_server,
        record_daemon,
        forget,
        records,
        certificate,
        certificates,
        first_due,
        authority,
        ensure_clients,
        client_certificate,
        check_parameters,
        ensure_passphrase,
        prepare_archive,
        archive_state,
        plan_restore,
        put_settings,
        put_job,
        find_job,
        drop_job,
        back_up_server,
        back_up,
        overview,
        disks,
        take_state,
        make_incoming,
        remove_incoming,
    )
}
