"""The server of the pages, spoken to over its port."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest

from keelson.agent import pages
from keelson.agent.pages import Answer, Pages
from keelson.errors import PortInUseError
from tests.agent.conftest import get
from tests.stack.harness import wait_until


def _break() -> Answer:
    raise ZeroDivisionError


PAGES = {
    "/well": lambda: pages.as_json({"well": True}),
    "/ill": lambda: pages.as_json({"well": False}, well=False),
    "/broken": _break,
    "/text": lambda: Answer(HTTPStatus.OK, b"text"),
}


@contextlib.contextmanager
def _serving() -> Iterator[int]:
    served = Pages(0, PAGES)
    thread = threading.Thread(target=served.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield served.port
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with _serving() as port:
        yield port


def test_a_page_has_the_status_of_what_it_tells(port: int) -> None:
    assert get(port, "/well") == (200, b'{\n  "well": true\n}\n')
    assert get(port, "/ill")[0] == 503
    assert get(port, "/well?pretty=1")[0] == 200
    assert get(port, "/text") == (200, b"text")


def test_what_is_no_page_is_refused_with_what_there_is(port: int) -> None:
    assert get(port, "/") == (404, b"there are /well, /ill, /broken, /text\n")
    assert get(port, "/../../etc/passwd")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_only_get_is_answered(port: int, method: str) -> None:
    assert get(port, "/well", method)[0] == 405


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9180", "127.0.0.1.evil.example", "", "localhost.", "[::2]"])  # fmt: skip
def test_a_page_of_the_web_that_asks_by_another_name_is_refused(port: int, host: str) -> None:
    assert get(port, "/well", Host=host)[0] == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9180", "localhost", "LocalHost:1", "[::1]", "[::1]:9180"])
def test_the_names_of_this_machine_are_answered(port: int, host: str) -> None:
    assert get(port, "/well", Host=host)[0] == 200


def test_a_defect_of_a_page_is_told_and_the_server_lives_on(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert get(port, "/broken") == (500, b"unexpected ZeroDivisionError; see `keelson logs agent`\n")
    assert "Traceback" in capsys.readouterr().err
    assert get(port, "/well")[0] == 200


def test_many_may_ask_at_once(port: int) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert {status for status, _ in pool.map(lambda _: get(port, "/well"), range(200))} == {200}


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET /well HTTP/1.1\r\nHost: local"])
def test_a_client_that_says_nothing_more_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(pages._Request, "timeout", 0.2)
    with _serving() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        assert not client.recv(1)


def test_a_client_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LONGEST", 0.3)
    with _serving() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /well HTTP/1.1\r\n")
        client.settimeout(0.02)
        wait_until(lambda: _cut_off(client), "the client is cut off", seconds=10)


def _cut_off(client: socket.socket) -> bool:
    try:
        client.sendall(b"X: y\r\n")
        return not client.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_more_than_are_welcome_are_turned_away_and_come_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "AT_ONCE", 3)
    with _serving() as port:
        idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
        assert get(port, "/well")[0] == 503
        for each in idle:
            each.close()
        wait_until(lambda: _is_welcome(port), "others are welcome", seconds=10)


def _is_welcome(port: int) -> bool:
    try:
        return get(port, "/well")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_long_request_is_refused(port: int) -> None:
    assert get(port, "/" + "x" * 70_000)[0] == 414
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        assert get(port, "/well", **{f"X-{n}": "y" for n in range(200)})[0] == 431


def test_a_port_that_is_taken_is_one_sentence(port: int) -> None:
    with pytest.raises(PortInUseError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use; free it"):
        Pages(port, PAGES)
