"""The certificates of a stack's servers, and of logins that show one; the stack's own authority gives them."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from keelson import paths
from keelson.errors import UnreachableError
from keelson.local import authorities, pem
from keelson.local.authorities import Authorities
from keelson.target import Certificate, ClientCertificate

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


def ensure_clients(key: str, server: str, logins: Sequence[str], now: dt.datetime | None = None) -> None:
    """Give logins of a server certificates that prove who they are, and take those of others away.

    They lie in the stack's state, as `clients/<server>/<login>.crt` and `.key`.
    """
    now, directory = now or pem.now(), _clients(key, server)
    known = {each.stem for each in directory.glob("*.crt")} | {each.stem for each in directory.glob("*.key")}
    for gone in known - set(logins):
        (directory / f"{gone}.crt").unlink(missing_ok=True)
        (directory / f"{gone}.key").unlink(missing_ok=True)
    if not logins:
        return
    trust = authorities.ensure(key, now)
    paths.private_directory(directory)
    for login in logins:
        old = pem.load(directory, login)
        if old is None or not _lasts(old.certificate, trust, now):
            pem.save(directory, login, _pair(login, trust, now, ExtendedKeyUsageOID.CLIENT_AUTH))


def client_files(key: str, server: str, login: str) -> ClientCertificate:
    """Return where a login's certificate and key lie; raises UnreachableError where it has none."""
    directory = _clients(key, server)
    if pem.load(directory, login) is None:
        msg = f"{login} has no certificate to show to {server}; run `keelson up`"
        raise UnreachableError(msg)
    return ClientCertificate(certificate=directory / f"{login}.crt", key=directory / f"{login}.key")


def clients_of(key: str, server: str) -> list[Certificate]:
    """Return how long the certificates of a server's logins are good."""
    found = ((each.stem, pem.load_certificates(each)) for each in sorted(_clients(key, server).glob("*.crt")))
    return [authorities.life_of(login, certificates[0]) for login, certificates in found if certificates]


def certificate_of(server: str, directory: Path) -> Certificate | None:
    """Return how long the certificate of `server` in `directory` is good; None where there is none that can be read."""
    found = pem.load_certificates(directory / "server.crt")
    return authorities.life_of(server, found[0]) if found else None


def first_due(key: str, server: str = "", directory: Path | None = None) -> dict[str, str]:
    """Return which certificate is renewed first: the server's in `directory`, one of its logins' or the authority's.

    That is: whose it is (`of`), when it ends (`ends`), and from when on it is renewed (`renewal`), as ISO 8601. Empty where there is none.
    """
    own = [certificate_of(server, directory), *clients_of(key, server)] if directory else []
    known = [authorities.find(key), *own]
    found = min((each for each in known if each), key=lambda each: each.renewal, default=None)
    if found is None:
        return {}
    return {"of": found.server, "ends": found.expires.isoformat(), "renewal": found.renewal.isoformat()}


def _server_pair(name: str, trust: Authorities, further: Sequence[str], now: dt.datetime) -> pem.Pair:
    names = x509.SubjectAlternativeName(_general_names(further))
    return _pair(name, trust, now, ExtendedKeyUsageOID.SERVER_AUTH, names)


def _pair(
    name: str,
    trust: Authorities,
    now: dt.datetime,
    purpose: x509.ObjectIdentifier,
    names: x509.SubjectAlternativeName | None = None,
) -> pem.Pair:
    secret, life = pem.new_key(), pem.Life.of_days(DAYS, now)
    ca = trust.signer(life.ends)
    unsigned = (
        pem.builder(pem.named(name), ca.certificate.subject, secret, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(pem.usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
    )
    unsigned = unsigned.add_extension(names, critical=False) if names else unsigned
    return pem.Pair(pem.signed(unsigned, ca.key), secret)


def _good(certificate: x509.Certificate, trust: Authorities, names: Sequence[str], now: dt.datetime) -> bool:
    """Say whether a certificate is good still, and for exactly the names."""
    known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return _lasts(certificate, trust, now) and set(known) == set(_general_names(names))


def _lasts(certificate: x509.Certificate, trust: Authorities, now: dt.datetime) -> bool:
    """Say whether a certificate has enough of its life left, and is of an authority that is trusted."""
    due = authorities.life_of("", certificate).due_for_renewal(now)
    return not due and trust.issuer(certificate) is not None


def _clients(key: str, server: str) -> Path:
    return authorities.file(key).parent / "clients" / server


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
