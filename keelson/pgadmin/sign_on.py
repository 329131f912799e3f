"""Login by OpenID Connect, as pgAdmin's configuration has it: who may log in, and what a newcomer finds.

It runs in pgAdmin's own process, with pgAdmin's packages only. In the official image it is alone, mounted beside the files that it
reads; there a newcomer's list is loaded by pgAdmin itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PROVIDER = "keelson"  # the issuer's name, in pgAdmin
FILE = "oidc.json"
SOURCE = "oauth2"  # of a user, in pgAdmin's store
USERINFO = "OAUTH2_USERINFO_ENDPOINT"
MODE = 0o600  # libpq ignores passwords in a file that others may read


class Domains(list[str]):
    """E-mail addresses of some domains: what pgAdmin asks whether it holds somebody's address."""

    def __contains__(self, address: object) -> bool:
        """Say whether an address is of one of them, and not one that the issuer knows to be unverified."""
        from flask import session  # noqa: PLC0415 - in a request only

        token = session["oauth2_token"]
        claims = token.get("userinfo") or {}
        if "email" not in claims:
            claims = _client().userinfo(token=token)
        domain = str(address).rpartition("@")[2].lower()
        return claims.get("email_verified") is not False and any(domain == each for each in self)


class Issuer(dict[str, Any]):
    """What pgAdmin is told of the issuer. Where that answers about somebody it learns from the issuer, and does not know before."""

    def __contains__(self, key: object) -> bool:
        return key == USERINFO or super().__contains__(key)

    def __missing__(self, key: str) -> str:
        if key != USERINFO:
            raise KeyError(key)
        return str(_client().load_server_metadata()["userinfo_endpoint"])


def providers(given: Mapping[str, Any]) -> list[Issuer]:
    """Return OAUTH2_CONFIG. `given` has the settings of `keelson:pgadmin.oidc`, as plain values."""
    allowed = {"email": Domains(given["domains"])} if given["domains"] else {"groups": list(given["groups"])}
    issuer = Issuer(
        OAUTH2_NAME=PROVIDER,
        OAUTH2_DISPLAY_NAME=given["name"],
        OAUTH2_CLIENT_ID=given["client_id"],
        OAUTH2_CLIENT_SECRET=given.get("client_secret") or None,
        OAUTH2_SERVER_METADATA_URL=given["issuer"].rstrip("/") + "/.well-known/openid-configuration",
        OAUTH2_SCOPE=" ".join(given["scopes"]),
        OAUTH2_USERNAME_CLAIM="email",
        OAUTH2_ADDITIONAL_CLAIMS=allowed,
        OAUTH2_CHALLENGE_METHOD="S256",
        OAUTH2_RESPONSE_TYPE="code",
        OAUTH2_ICON="fa-key",
    )
    return [issuer]


def at_login(bring: Callable[[Any], None]) -> None:
    """Call `bring` with whoever has just logged in this way."""
    from flask_login import user_logged_in  # noqa: PLC0415 - in pgAdmin's environment only

    def logged_in(_: object, user: Any) -> None:  # noqa: ANN401 - pgAdmin has no types
        if user.auth_source == SOURCE:
            bring(user)

    user_logged_in.connect(logged_in, weak=False)


def _client() -> Any:  # noqa: ANN401
    from pgadmin.authenticate.oauth2 import OAuth2Authentication  # noqa: PLC0415 - reads the configuration

    return OAuth2Authentication.oauth2_clients[PROVIDER]


def of_official_image(folder: str) -> list[Issuer]:
    """Return OAUTH2_CONFIG from the files of `folder`, and have newcomers find the list that lies there."""
    files = Path(folder)

    def bring(user: Any) -> None:  # noqa: ANN401
        from pgadmin.model import Server  # noqa: PLC0415 - pgAdmin's, once it runs
        from pgadmin.utils import load_database_servers  # noqa: PLC0415
        from pgadmin.utils.paths import get_storage_directory  # noqa: PLC0415

        kept = Path(get_storage_directory(user)) / ".pgpass"
        kept.unlink(missing_ok=True)
        kept.touch(MODE)
        shutil.copyfile(files / "pgpass", kept)
        if not Server.query.filter_by(user_id=user.id).count():
            load_database_servers(str(files / "servers.json"), None, user.username, True, SOURCE)  # noqa: FBT003

    at_login(bring)
    return providers(json.loads((files / FILE).read_text(encoding="utf-8")))
