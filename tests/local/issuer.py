"""A small OpenID Connect issuer on loopback, run by pgAdmin's own Python, which has what signs tokens: `python -I issuer.py`.

It prints its port. Whom it lets in is told by `POST /as`: the claims, and which of them stand in the token; all are answered about at
`/userinfo`. It takes a code once, from the client that asked for it, with the verifier that fits the challenge.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "keelson", "a client's secret"
KEY = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}, private=True)
person: dict[str, Any] = {"claims": {}, "in_token": []}
codes: dict[str, dict[str, str]] = {}
tokens: set[str] = set()


class Issuer(BaseHTTPRequestHandler):
    """Discovery, keys, code, token, and what is known of somebody."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/.well-known/openid-configuration":
            self._answer(self._metadata())
        elif path == "/keys":
            self._answer({"keys": [KEY.as_dict(private=False)]})
        elif path == "/userinfo" and self.headers.get("Authorization", "").removeprefix("Bearer ") in tokens:
            self._answer(person["claims"])
        elif path == "/authorize":
            self._authorize({name: values[0] for name, values in urllib.parse.parse_qs(query).items()})
        else:
            self._answer({"error": "invalid_request"}, 400)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/as":
            person.update(json.loads(body))
            self._answer({})
        else:
            self._give_token({name: values[0] for name, values in urllib.parse.parse_qs(body).items()})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    @property
    def _issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _metadata(self) -> dict[str, Any]:
        places = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        return {
            "issuer": self._issuer,
            **{f"{name}_endpoint": f"{self._issuer}/{place}" for name, place in places.items()},
            "jwks_uri": f"{self._issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self, asked: dict[str, str]) -> None:
        good = asked["client_id"] == CLIENT and asked["response_type"] == "code"
        if not good or asked.get("code_challenge_method") != "S256" or "openid" not in asked["scope"].split():
            self._answer({"error": "invalid_request"}, 400)
            return
        code = secrets.token_urlsafe()
        codes[code] = asked
        given = urllib.parse.urlencode({"code": code, "state": asked["state"]})
        self.send_response(302)
        self.send_header("Location", f"{asked['redirect_uri']}?{given}")
        self.end_headers()

    def _give_token(self, asked: dict[str, str]) -> None:
        known = codes.pop(asked["code"], {})
        proof = base64.urlsafe_b64encode(hashlib.sha256(asked["code_verifier"].encode()).digest()).decode().rstrip("=")
        client = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        fits = known and proof == known["code_challenge"] and asked["redirect_uri"] == known["redirect_uri"]
        if not fits or urllib.parse.unquote_plus(client) != f"{CLIENT}:{SECRET}":
            self._answer({"error": "invalid_grant"}, 400)
            return
        now = int(time.time())
        claims = {name: person["claims"][name] for name in person["in_token"]} | {
            "iss": self._issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600, "nonce": known["nonce"],
        }  # fmt: skip
        tokens.add(access := secrets.token_urlsafe())
        signed = jwt.encode({"alg": "RS256", "kid": "1"}, claims, KEY)
        self._answer({"access_token": access, "token_type": "Bearer", "expires_in": 600, "id_token": signed})

    def _answer(self, body: object, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    print(server.server_port, flush=True)  # noqa: T201 - for whoever started it
    server.serve_forever()
