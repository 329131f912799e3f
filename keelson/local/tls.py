"""A stack's own certificate authority, and the certificates that it gives to the stack's servers.

The authority lies in the stack's state directory (`tls/ca.crt`, `tls/ca.key`); clients verify servers against `ca.crt`.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keelson import paths
from keelson.local import registry
from keelson.local.locks import exclusive
from keelson.target import RENEWAL, Certificate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAY = dt.timedelta(days=1)
AUTHORITY_LIFE = 3650 * DAY
SERVER_LIFE = 365 * DAY
NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def authority_file(key: str) -> Path:
    """Return where the authority's certificate lies."""
    return registry.directory(key) / "tls" / "ca.crt"


def ensure_server(key: str, directory: Path, name: str, names: Sequence[str] = ()) -> bool:
    """Give a server its certificate and key (`server.crt`, `server.key`); False if those that it has are good.

    Args:
        key: the stack.
        directory: where the two files and a copy of the authority's certificate go.
        name: the server's name, the certificate's common name.
        names: by which clients reach it beside this machine's own.
    """
    ca = _authority(key)
    old = _load(directory, "server")
    known = _load_certificate(directory / "ca.crt") == ca.certificate
    if known and old and _good(old.certificate, ca.certificate, names):
        return False
    paths.private_directory(directory)
    paths.write_private(directory / "ca.crt", _pem(ca.certificate))
    _save(directory, "server", _server_pair(name, ca, names))
    return True


def certificate_of(server: str, directory: Path) -> Certificate | None:
    """Return how long the certificate of `server` in `directory` is good; None where there is none that can be read."""
    found = _load_certificate(directory / "server.crt")
    if found is None:
        return None
    return Certificate(server=server, begins=found.not_valid_before_utc, expires=found.not_valid_after_utc)


def _authority(key: str) -> _Pair:
    directory = authority_file(key).parent
    with exclusive(directory / "lock"):
        old = _load(directory, "ca")
        if old and _fresh(old.certificate):
            return old
        secret = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Keelson {key}"[:64])])
        builder = (
            _builder(name, name, secret, AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        pair = _Pair(builder.sign(secret, hashes.SHA256()), secret)
        _save(directory, "ca", pair)
        return pair


def _server_pair(name: str, ca: _Pair, further: Sequence[str]) -> _Pair:
    secret = ec.generate_private_key(ec.SECP256R1())
    names = [_general_name(each) for each in (*NAMES, *further)]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = (
        _builder(subject, ca.certificate.subject, secret, SERVER_LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return _Pair(builder.sign(ca.key, hashes.SHA256()), secret)


def _builder(
    subject: x509.Name, issuer: x509.Name, secret: ec.EllipticCurvePrivateKey, life: dt.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - dt.timedelta(minutes=5))  # clocks differ
        .not_valid_after(_now() + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(secret.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _good(certificate: x509.Certificate, ca: x509.Certificate, names: Sequence[str]) -> bool:
    known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return _fresh(certificate) and _issued(certificate, ca) and {_general_name(each) for each in names} <= set(known)


def _general_name(name: str) -> x509.GeneralName:
    """Return a name or an address as a certificate has it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _fresh(certificate: x509.Certificate) -> bool:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - _now() > life * RENEWAL


def _issued(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:  # noqa: BLE001  # ValueError, TypeError or InvalidSignature: in each case it is not ours
        return False
    return True


def _load(directory: Path, name: str) -> _Pair | None:
    """Return a certificate with its key; None if either is missing or damaged."""
    certificate = _load_certificate(directory / f"{name}.crt")
    try:
        secret = serialization.load_pem_private_key((directory / f"{name}.key").read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if certificate is None or not isinstance(secret, ec.EllipticCurvePrivateKey):
        return None
    if secret.public_key() != certificate.public_key():
        return None
    return _Pair(certificate, secret)


def _load_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _save(directory: Path, name: str, pair: _Pair) -> None:
    encoding = serialization.Encoding.PEM
    secret = pair.key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths.write_private(directory / f"{name}.key", secret.decode())
    paths.write_private(directory / f"{name}.crt", _pem(pair.certificate))


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
