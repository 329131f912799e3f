"""Certificates and keys in files, and what is alike in all certificates of a stack."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keelson import paths

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DAY = dt.timedelta(days=1)
SKEW = dt.timedelta(minutes=5)  # clocks differ
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Life:
    """From when until when a certificate is good."""

    begins: dt.datetime
    ends: dt.datetime

    @classmethod
    def of_days(cls, days: int, now: dt.datetime) -> Life:
        """Return a life that begins a little before `now`."""
        return cls(now - SKEW, now + days * DAY)


def now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key."""
    return ec.generate_private_key(ec.SECP256R1())


def named(common_name: str) -> x509.Name:
    """Return a name as certificates have it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: Life
) -> x509.CertificateBuilder:
    """Return what all certificates begin with."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(life.begins)
        .not_valid_after(life.ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what a key may be used for: to sign certificates, or to prove who somebody is."""
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


def signed(unsigned: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return a certificate with its signature."""
    return unsigned.sign(key, hashes.SHA256())


def issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Say whether a certificate is of an authority."""
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001  # ValueError, TypeError or InvalidSignature: in each case it is not ours
        return False
    return True


def load(directory: Path, name: str) -> Pair | None:
    """Return a certificate with its key; None if either is missing or damaged."""
    found = load_pairs(load_certificates(directory / f"{name}.crt")[:1], directory / f"{name}.key")
    return found[0] if found else None


def load_pairs(certificates: Iterable[x509.Certificate], keys: Path) -> list[Pair]:
    """Return those of the certificates whose key lies in the file `keys`."""
    known = _load_keys(keys)
    return [
        Pair(each, key) for each in certificates for key in known if key.public_key() == each.public_key()
    ]  # fmt: skip


def load_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a file; none where it is missing or damaged."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []


def save(directory: Path, name: str, pair: Pair) -> None:
    """Write a certificate and its key, for this user alone."""
    paths.write_private(directory / f"{name}.key", key_text(pair.key))
    paths.write_private(directory / f"{name}.crt", text(pair.certificate))


def text(certificate: x509.Certificate) -> str:
    """Return a certificate as a file has it."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_text(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a key as a file has it."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def _load_keys(path: Path) -> list[ec.EllipticCurvePrivateKey]:
    try:
        found = _KEY.findall(path.read_bytes())
        keys = [serialization.load_pem_private_key(each, password=None) for each in found]
    except (OSError, ValueError, TypeError):
        return []
    return [key for key in keys if isinstance(key, ec.EllipticCurvePrivateKey)]
