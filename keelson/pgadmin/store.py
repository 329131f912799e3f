"""pgAdmin's store brought to what is wanted, by pgAdmin's own models: its administrator, its list, their files.

Entries of ours bear a mark; what the user added by hand has none and stays.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask_security.utils import hash_password, verify_password
from pgadmin.model import Role, Server, ServerGroup, User, db
from pgadmin.utils.paths import preprocess_username

from keelson import paths, pgpass
from keelson.pgadmin.sign_on import SOURCE
from keelson.pgadmin.wanted import MAINTENANCE_DATABASE, MARK, Entry, Wanted

ADMINISTRATOR_ID = 1  # whom pgAdmin makes with its store
USUAL_GROUP = "Servers"  # which pgAdmin makes for everybody
PASSWORDS, AUTHORITY = "keelson.pgpass", "keelson-ca.crt"
PLAIN = {  # what an entry has where nothing else is said
    "save_password": 0,
    "use_ssh_tunnel": 0,
    "tunnel_authentication": 0,
    "tunnel_prompt_password": 0,
    "shared": False,
    "kerberos_conn": False,
    "cloud_status": 0,
    "is_adhoc": 0,
}


def bring(app: Any, storage: Path, wanted: Wanted, *, unlock: bool) -> None:  # noqa: ANN401 - pgAdmin has no types
    """Bring pgAdmin's store to what is wanted.

    Args:
        app: pgAdmin's application.
        storage: where its users' files lie.
        wanted: the login and the list.
        unlock: let an administrator in again who was locked out by wrong passwords.
    """
    with app.app_context():
        user = db.session.get(User, ADMINISTRATOR_ID) or _new_administrator()
        _login(user, storage, wanted)
        if unlock:
            user.active, user.locked, user.login_attempts = True, False, 0
            _drop_usual_group(user.id)
        for each in (user, *User.query.filter_by(auth_source=SOURCE)):
            _write_files(_folder(storage, each.username), wanted)
            _list(each.id, wanted.entries)
        db.session.commit()


def bring_user(user: User, storage: Path, wanted: Wanted) -> None:
    """Give somebody the list who has just logged in from elsewhere, perhaps for the first time."""
    if not Server.query.filter_by(user_id=user.id).count():
        _drop_usual_group(user.id)
    _write_files(_folder(storage, user.username), wanted)
    _list(user.id, wanted.entries)
    db.session.commit()


def _new_administrator() -> User:
    """Make the administrator anew whom another one removed."""
    roles = Role.query.filter_by(name="Administrator").all()
    user = User(
        id=ADMINISTRATOR_ID, username="", email="", active=True, auth_source="internal", roles=roles, password=""
    )
    user.fs_uniquifier = uuid.uuid4().hex
    db.session.add(user)
    return user


def _login(user: User, storage: Path, wanted: Wanted) -> None:
    """Set address and password; a new password ends the sessions of before, and what it had encrypted is of no use."""
    if user.username != wanted.email:
        with contextlib.suppress(FileNotFoundError):
            _folder(storage, user.username).rename(_folder(storage, wanted.email))
        user.username = user.email = wanted.email
    if not user.password or not verify_password(wanted.password, user.password):
        user.password = hash_password(wanted.password)
        user.fs_uniquifier = uuid.uuid4().hex
        Server.query.filter_by(user_id=user.id).update({"password": None, "save_password": 0})


def _drop_usual_group(user_id: int) -> None:
    for group in ServerGroup.query.filter_by(user_id=user_id, name=USUAL_GROUP):
        if not group.servers:
            db.session.delete(group)


def _folder(storage: Path, username: str) -> Path:
    return storage / (preprocess_username(username) or "unnamed")


def _write_files(folder: Path, wanted: Wanted) -> None:
    """Write what libpq reads, mode 0600: it ignores passwords in a file that others may read."""
    paths.private_directory(folder)
    lines = [_password_line(entry) for entry in wanted.entries if entry.port]
    for name, text in ((PASSWORDS, "".join(lines)), (AUTHORITY, wanted.root_certificate)):
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            paths.write_private(file, text)
        file.chmod(0o600)


def _password_line(entry: Entry) -> str:
    return pgpass.line(entry.host, str(entry.port), entry.database or "*", entry.role, entry.password)


def _list(user_id: int, entries: Sequence[Entry]) -> None:
    """Make, change and remove entries of ours; a group that was left by ours and is empty goes too."""
    ours = {server.discovery_id: server for server in Server.query.filter_by(user_id=user_id) if _is_ours(server)}
    groups = {server.servergroup for server in ours.values()}
    for entry in entries:
        known = ours.pop(entry.mark, None)
        if entry.port:
            _set(
                known or Server(user_id=user_id, discovery_id=entry.mark, **PLAIN), entry, _group(user_id, entry.group)
            )
    for server in ours.values():
        db.session.delete(server)
    db.session.flush()
    for group in groups:
        db.session.refresh(group)
        if not group.servers:
            db.session.delete(group)


def _is_ours(server: Server) -> bool:
    return (server.discovery_id or "").startswith(MARK)


def _group(user_id: int, name: str) -> ServerGroup:
    found = ServerGroup.query.filter_by(user_id=user_id, name=name).first()
    if found is None:
        found = ServerGroup(user_id=user_id, name=name)
        db.session.add(found)
    return found


def _set(server: Server, entry: Entry, group: ServerGroup) -> None:
    fields = {
        "servergroup": group,
        "name": entry.name,
        "host": entry.host,
        "port": entry.port,
        "username": entry.role,
        "maintenance_db": entry.database or MAINTENANCE_DATABASE,
        "db_res": entry.database or None,
        "db_res_type": "databases",
        "connection_params": {
            "sslmode": entry.encryption,
            "sslrootcert": f"/{AUTHORITY}",
            "passfile": f"/{PASSWORDS}",
            "connect_timeout": 10,
        },
    }
    for name, value in fields.items():
        if getattr(server, name) != value:
            setattr(server, name, value)
    db.session.add(server)
