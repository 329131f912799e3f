"""The certificates of a stack's servers, which the stack's own authority gives them; clients verify servers against its `ca.crt`."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from keelson import paths
from keelson.local import authorities, pem
from keelson.local.authorities import Authorities
from keelson.target import Certificate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAYS = 365
NAMES = ("localhost", "127.0.0.1", "::1")


def authority_file(key: str) -> Path:
    """Return where the certificates of the stack's authorities lie, all in one file."""
    return authorities.file(key)


def ensure_server(
    key: str, directory: Path, name: str, names: Sequence[str] = (), now: dt.datetime | None = None
) -> bool:
    """Give a server its certificate and key (`server.crt`, `server.key`), and `ca.crt`; False if those that it has are good.

    Args:
        key: the stack.
        directory: where the files go.
        name: the server's name, the certificate's common name.
        names: by which clients reach it beside this machine's own.
        now: the time, where it is not the clock's.
    """
    now = now or pem.now()
    trust = authorities.ensure(key, now)
    paths.private_directory(directory)
    old = pem.load(directory, "server")
    good = old is not None and _good(old.certificate, trust, names, now)
    pair = old if old and good else _server_pair(name, trust, names, now)
    trusted = trust.text(trust.issuer(pair.certificate))
    if good and _read(directory / "ca.crt") == trusted:
        return False
    paths.write_private(directory / "ca.crt", trusted)
    if not good:
        pem.save(directory, "server", pair)
    return True


def certificate_of(server: str, directory: Path) -> Certificate | None:
    """Return how long the certificate of `server` in `directory` is good; None where there is none that can be read."""
    found = pem.load_certificates(directory / "server.crt")
    return authorities.life_of(server, found[0]) if found else None


def first_due(key: str, server: str = "", directory: Path | None = None) -> dict[str, str]:
    """Return which certificate is renewed first, the server's in `directory` or the authority's.

    That is: whose it is (`of`), when it ends (`ends`), and from when on it is renewed (`renewal`), as ISO 8601. Empty where there is none.
    """
    known = [authorities.find(key), certificate_of(server, directory) if directory else None]
    found = min((each for each in known if each), key=lambda each: each.renewal, default=None)
    if found is None:
        return {}
    return {"of": found.server, "ends": found.expires.isoformat(), "renewal": found.renewal.isoformat()}


def _server_pair(name: str, trust: Authorities, further: Sequence[str], now: dt.datetime) -> pem.Pair:
    secret, life = pem.new_key(), pem.Life.of_days(DAYS, now)
    ca = trust.signer(life.ends)
    unsigned = (
        pem.builder(pem.named(name), ca.certificate.subject, secret, life)
        .add_extension(x509.SubjectAlternativeName(_general_names(further)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(pem.usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
    )
    return pem.Pair(pem.signed(unsigned, ca.key), secret)


def _good(certificate: x509.Certificate, trust: Authorities, names: Sequence[str], now: dt.datetime) -> bool:
    """Say whether a certificate has enough of its life left, is of an authority that is trusted, and for exactly the names."""
    known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    due = authorities.life_of("", certificate).due_for_renewal(now)
    return not due and trust.issuer(certificate) is not None and set(known) == set(_general_names(names))


def _general_names(further: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(each) for each in dict.fromkeys((*NAMES, *further))]


def _general_name(name: str) -> x509.GeneralName:
    """Return a name or an address as a certificate has it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
