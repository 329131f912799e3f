"""pgAdmin's configuration: where it keeps things, and what it allows; docs/pgadmin.md says what each protects."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOSTS = ("127.0.0.1", "localhost")
STORE = "pgadmin4.db"
IDLE_SECONDS = 3600  # without a key or a click, until pgAdmin logs out
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'self';"
    " form-action 'self'; object-src 'none'; base-uri 'self';"
)


def values(directory: Path, key: str, *, protected: bool) -> dict[str, object]:
    """Return what differs from pgAdmin's own configuration, and what no other file of this machine may change.

    Args:
        directory: where all that it writes lies.
        key: the stack's key; a browser keeps cookies by host, not by port, so those of two stacks need two names.
        protected: whether a second factor is demanded.
    """
    return _places(directory) | _doors(key, protected=protected) | _abilities()


def page(host: str, *, encrypted: bool) -> dict[str, object]:
    """Return what it has to know that is reached under a public name, through one proxy that says for whom it asks and how it was asked."""
    return {
        "ALLOWED_HOSTS": [*HOSTS, host],
        "PROXY_X_FOR_COUNT": 1,
        "PROXY_X_PROTO_COUNT": 1,
        "PROXY_X_HOST_COUNT": 0,  # it passes the name on as it is
        "SESSION_COOKIE_SECURE": encrypted,
        "STRICT_TRANSPORT_SECURITY_ENABLED": encrypted,
        "STRICT_TRANSPORT_SECURITY": "max-age=31536000",
    }


def sign_on(oidc: Mapping[str, Any]) -> dict[str, object]:
    """Return what login by OpenID Connect needs, but for the issuer itself.

    Who comes back from the issuer brings no strict cookie, and the login's form leads there. Nothing could decrypt a saved password
    after the next login, so none is saved.
    """
    issuer = urlsplit(oidc["issuer"])
    leading = f"form-action 'self' {issuer.scheme}://{issuer.netloc};"
    return {
        "AUTHENTICATION_SOURCES": ["oauth2", *(["internal"] if oidc["local_login"] else [])],
        "OAUTH2_AUTO_CREATE_USER": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CONTENT_SECURITY_POLICY": CONTENT_SECURITY_POLICY.replace("form-action 'self';", leading),
        "MASTER_PASSWORD_REQUIRED": False,
        **(
            {} if oidc["local_login"] else {"MFA_FORCE_REGISTRATION": False}
        ),  # a second factor is the issuer's to ask for
    }


def _places(directory: Path) -> dict[str, object]:
    return {
        "DATA_DIR": str(directory),
        "SQLITE_PATH": str(directory / STORE),
        "CONFIG_DATABASE_URI": "",
        "SESSION_DB_PATH": str(directory / "sessions"),
        "STORAGE_DIR": str(directory / "storage"),
        "AZURE_CREDENTIAL_CACHE_DIR": "",
        "KERBEROS_CCACHE_DIR": "",
        "LOG_FILE": str(directory / "logs" / "pgadmin4.log"),
        "FILE_LOG_LEVEL": logging.CRITICAL + 1,  # what it logs goes to the part's log, which is rotated by size
        "CONSOLE_LOG_LEVEL": logging.WARNING,
        "SHARED_STORAGE": [],
    }


def _doors(key: str, *, protected: bool) -> dict[str, object]:
    return {
        "SERVER_MODE": True,
        "AUTHENTICATION_SOURCES": ["internal"],
        "ALLOWED_HOSTS": list(HOSTS),
        "PROXY_X_FOR_COUNT": 0,
        "PROXY_X_PROTO_COUNT": 0,
        "PROXY_X_PORT_COUNT": 0,
        "PASSWORD_LENGTH_MIN": 12,
        "MAX_LOGIN_ATTEMPTS": 3,
        "ALLOW_SPECIAL_EMAIL_DOMAINS": ["local", "localhost", "test", "example", "invalid"],
        "GLOBALLY_DELIVERABLE": False,
        "MFA_ENABLED": True,
        "MFA_SUPPORTED_METHODS": ["authenticator"],  # the other one takes a mail server
        "MFA_FORCE_REGISTRATION": protected,
        "ENHANCED_COOKIE_PROTECTION": True,
        "SESSION_COOKIE_NAME": f"pgadmin_{key}",
        "REMEMBER_COOKIE_NAME": f"pgadmin_{key}_remember",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Strict",
        "USER_INACTIVITY_TIMEOUT": IDLE_SECONDS,
        "CONTENT_SECURITY_POLICY": CONTENT_SECURITY_POLICY,
        "WEB_SERVER": "",
    }


def _abilities() -> dict[str, object]:
    return {
        "ENABLE_PSQL": False,
        "SUPPORT_SSH_TUNNEL": False,
        "ENABLE_SERVER_PASS_EXEC_CMD": False,
        "ENABLE_BINARY_PATH_BROWSING": False,
        "AUTO_DISCOVER_SERVERS": False,
        "UPGRADE_CHECK_ENABLED": False,
        "SHOW_GRAVATAR_IMAGE": False,
        "LLM_ENABLED": False,
    }
