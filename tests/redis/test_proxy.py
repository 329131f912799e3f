"""HAProxy before instances that speak TLS: it asks them so, and leads clients' own TLS through."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from keelson.containers import replicas
from keelson.containers.model import CONFIG
from keelson.local import authorities, root, tls
from keelson.local.root import DATA
from keelson.redis.users import INNER_RIGHTS
from tests.local.conftest import free_port, wait_until
from tests.redis.conftest import Server

ONCE = {"retry": Retry(NoBackoff(), 0)}


@pytest.fixture
def proxied(server: Server, tmp_path: Path) -> Iterator[int]:
    """The port of a proxy before the Redis, which trusts what `ca.crt` beside it says."""
    with server.client() as admin:
        admin.execute_command("ACL SETUSER", "proxy", "on", ">pw", *INNER_RIGHTS["proxy"].split(" "))
        inner = admin.connection_pool.connection_kwargs["port"]
    port = free_port()
    text = replicas.files(
        replicas.Formation("redis", ["127.0.0.1"], "id", dict.fromkeys(INNER_RIGHTS, "pw"), "TLSv1.3")
    )
    told = text["proxy.cfg"].replace(f"127.0.0.1:{replicas.PORT}", f"127.0.0.1:{inner}")
    told = told.replace(f"bind :{replicas.PORT}", f"bind 127.0.0.1:{port}").replace(CONFIG, str(DATA))
    (tmp_path / "proxy.cfg").write_text(told)
    if not (tmp_path / "ca.crt").exists():
        (tmp_path / "ca.crt").write_text(authorities.file(server.local.key).read_text())
    command = root.find().command(
        ["/usr/sbin/haproxy", "-db", "-f", f"{DATA}/proxy.cfg"], data=tmp_path, user="redis", as_first_process=True
    )
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: "backend master has no server" in (tmp_path / "log").read_text())  # it has no replica
            yield port
        finally:
            process.kill()


def test_a_client_is_led_to_a_redis_that_the_proxy_has_verified(server: Server, proxied: int) -> None:
    with server.client(port=proxied, **ONCE) as client:
        assert client.ping()
    with server.client(port=proxied, ssl=False, **ONCE) as plain, pytest.raises(redis.ConnectionError):
        plain.ping()


@pytest.fixture
def another(tmp_path: Path) -> None:
    tls.ensure_server("another", tmp_path, "redis")


@pytest.mark.usefixtures("another")
def test_one_that_another_authority_vouches_for_is_not_led_to(server: Server, request: pytest.FixtureRequest) -> None:
    port = request.getfixturevalue("proxied")
    log = request.getfixturevalue("tmp_path") / "log"
    wait_until(lambda: "backend alone has no server" in log.read_text())
    with server.client(port=port, **ONCE) as client, pytest.raises(redis.ConnectionError):
        client.ping()
