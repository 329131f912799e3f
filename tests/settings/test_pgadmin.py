"""Settings of pgAdmin's page and login: what cannot be is one sentence that names the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keelson.errors import SettingsError
from keelson.inside.settings import dump
from keelson.settings.stack import Stack, read_stack

INGRESS = {"host": "db.example.com", "tls_secret": "db-tls"}
GATEWAY = {"host": "db.example.com", "name": "public", "namespace": "gateways"}
OIDC = {"issuer": "https://id.example.com/realms/x", "client_id": "keelson", "allowed_domains": ["example.com"]}


def read(root: Path, environment: str = "dev", target: str = "kubernetes", **pgadmin: Any) -> Stack:
    config = {
        "keelson:environment": environment,
        "keelson:target": target,
        "keelson:pgadmin": json.dumps(pgadmin),
    }
    return read_stack(config, "keelson", "here", root)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ingress": INGRESS, "target": "docker"}, "'keelson:pgadmin.ingress' needs the target kubernetes; take it out for docker"),
        ({"gateway": GATEWAY, "target": "local"}, "'keelson:pgadmin.gateway' needs the target kubernetes; take it out for local"),
        ({"ingress": INGRESS, "gateway": GATEWAY}, "'keelson:pgadmin.gateway' exclude each other; take one out"),
        ({"ingress": {"host": "a.b"}, "environment": "demo"}, "has no 'tls_secret', and passwords would pass in clear in demo; name a Secret"),
        ({"ingress": INGRESS | {"host": "DB_1"}}, "'keelson:pgadmin.ingress.host' is wrong"),
        ({"oidc": OIDC}, "'keelson:pgadmin.oidc' needs an address to which the issuer sends people back; set 'ingress' or 'gateway' too"),
        ({"oidc": OIDC | {"issuer": "http://id.example.com"}}, "'issuer' must begin with https://"),
        ({"oidc": OIDC | {"allowed_domains": []}}, "give either 'allowed_domains' or 'allowed_groups', which say who may log in"),
        ({"oidc": OIDC | {"allowed_groups": ["dba"]}}, "give either 'allowed_domains' or 'allowed_groups'"),
        ({"oidc": OIDC | {"scopes": ["openid"]}}, "'scopes' must hold openid and email"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=r"^Pulumi\.here\.yaml: ") as refused:
        read(tmp_path, **given)
    assert sentence in str(refused.value)


def test_a_page_has_an_address_that_is_encrypted_but_where_nothing_is_worth_it(tmp_path: Path) -> None:
    assert read(tmp_path, "prod", ingress=INGRESS).settings.pgadmin.url == "https://db.example.com/"
    assert read(tmp_path, "prod", gateway=GATEWAY).settings.pgadmin.url == "https://db.example.com/"
    assert read(tmp_path, ingress={"host": "db.test"}).settings.pgadmin.url == "http://db.test/"
    assert read(tmp_path, "prod").settings.pgadmin.url == ""


def test_the_inside_reads_the_settings_without_a_secret(tmp_path: Path) -> None:
    given = {"ingress": INGRESS | {"class": "nginx"}, "oidc": OIDC | {"client_secret": "s3cret"}, "password": "x" * 20}
    text = dump(read(tmp_path, **given))
    assert "s3cret" not in text
    inside = Stack.model_validate({**json.loads(text), "root": "/"}).settings.pgadmin
    assert (inside.host, inside.password) == ("db.example.com", None)


@pytest.mark.parametrize("place", ["local", "docker"])
def test_login_by_an_issuer_is_for_every_target(tmp_path: Path, place: str) -> None:
    assert read(tmp_path, target=place, oidc=OIDC).settings.pgadmin.oidc
