"""pgAdmin as its pages use it: a session with cookies and a token, over its own HTTP API."""

from __future__ import annotations

import contextlib
import http.client
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

TOKEN = re.compile(r"csrf_?[tT]oken['\"\]]*\s*[:=]\s*['\"]([\w.-]{20,})")


class PgAdminSession:
    """One browser's worth of cookies."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.cookies = http.cookiejar.CookieJar()
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies)).open
        self._token = self.landed = ""

    def log_in(self, email: str, password: str) -> bool:
        """Fill in the login form; whether pgAdmin let us in."""
        token = self._find_token("/login")
        form = {"csrf_token": token, "email": email, "password": password, "internal_button": "Login"}
        data = urllib.parse.urlencode(form).encode()
        with self._open(f"{self.base}/authenticate/login", data=data, timeout=30) as answer:
            self.landed = answer.url
        with contextlib.suppress(urllib.error.HTTPError, LookupError):  # it did not
            self._token = self._find_token("/browser/js/utils.js")
        return self.inside()

    def sign_on(self) -> None:
        """Press the button of OpenID Connect, and go where pages lead."""
        form = {"csrf_token": self._find_token("/login"), "oauth2_button": "keelson"}
        data = urllib.parse.urlencode(form).encode()
        with (
            contextlib.suppress(urllib.error.HTTPError),
            self._open(f"{self.base}/authenticate/login", data=data, timeout=30) as answer,
        ):
            self.landed = answer.url
        with contextlib.suppress(urllib.error.HTTPError, LookupError):
            self._token = self._find_token("/browser/js/utils.js")

    def inside(self) -> bool:
        return self.call("GET", "/browser/server_group/nodes/")[0] == 200

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and the JSON of an answer; redirects to the login page count as 401."""
        request = urllib.request.Request(  # noqa: S310 - this machine's own
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-pgA-CSRFToken": self._token, "Content-Type": "application/json"},
        )
        try:
            with self._open(request, timeout=30) as answer:
                text = answer.read()
                return (answer.status, json.loads(text)) if text.startswith(b"{") else (401, None)
        except urllib.error.HTTPError as fault:
            return fault.code, None

    def tree(self) -> dict[str, dict[str, str]]:
        """The groups, and their servers' names and ids."""
        _, groups = self.call("GET", "/browser/server_group/nodes/")
        return {
            group["label"]: {
                server["label"]: f"{group['_id']}/{server['_id']}"
                for server in self.call("GET", f"/browser/server_group/children/{group['_id']}")[1]["data"]
            }
            for group in groups["data"]
        }

    def connect(self, group: str, server: str) -> bool:
        """Open a server without giving a password; False where pgAdmin asks for one."""
        status, answer = self.call("POST", f"/browser/server/connect/{self.tree()[group][server]}")
        return status == 200 and bool(answer["data"]["connected"])

    def add_server(self, name: str, group: int, port: int) -> None:
        """Add a server by hand."""
        values = {"name": name, "gid": group, "host": "127.0.0.1", "port": port, "db": "postgres", "username": "me"}
        status, answer = self.call("POST", f"/browser/server/obj/{group}/", values | {"sslmode": "prefer"})
        assert status == 200, answer

    def _find_token(self, path: str) -> str:
        with self._open(self.base + path, timeout=30) as answer:
            found = TOKEN.search(answer.read().decode())
        if not found:
            msg = f"no token in {path}"
            raise LookupError(msg)
        return found[1]


def get(port: int, path: str, host: str) -> int:
    """The status of an answer to a request that names `host`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()
