"""Certificates of a stack under test: what a server shows, and ones that have come to their age."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import tempfile
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from keelson.local import authorities, pem
from tests.stack.harness import StackUnderTest

DAY = dt.timedelta(days=1)


def serial_at(connection: psycopg.Connection) -> int:
    """The serial number of the certificate that new sessions see."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((connection.info.host, connection.info.port), 5) as plain:
        plain.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as wrapped:
            return x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"").serial_number


def shortened(stack: StackUnderTest, certificate: str, key: str) -> str:
    """Return a server's certificate of which ten days of ninety are left, by the stack's oldest authority."""
    ca, old, now = _load(stack)[0], x509.load_pem_x509_certificate(certificate.encode()), pem.now()
    own = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    builder = pem.builder(old.subject, old.issuer, own, pem.Life(now - 80 * DAY, now + 10 * DAY))
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return pem.text(builder.add_extension(names, critical=False).sign(ca.key, hashes.SHA256()))


def aged(stack: StackUnderTest, left: int) -> str:
    """Return what the stack's clients trust once so many days are left of its oldest authority, whose key stays."""
    (oldest, *others), now = _load(stack), pem.now()
    life = pem.Life(now - (authorities.DAYS - left) * DAY, now + left * DAY)
    builder = pem.builder(oldest.certificate.subject, oldest.certificate.issuer, oldest.key, life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(pem.usage(signs_certificates=True), critical=True)
    certificates = [builder.sign(oldest.key, hashes.SHA256()), *(each.certificate for each in others)]
    return "".join(map(pem.text, certificates))


def is_trusted(parameters: dict[str, str], authority: str, file: Path) -> bool:
    """Say whether a client with this file of authorities lets itself be served."""
    file.write_text(authority)
    try:
        psycopg.connect(**parameters | {"sslmode": "verify-full", "sslrootcert": str(file)}).close()  # type: ignore[arg-type]
    except psycopg.OperationalError as fault:
        if "certificate verify failed" not in str(fault):
            raise
        return False
    else:
        return True


def shorten_in_state(stack: StackUnderTest, server: str) -> None:
    """Have the state say that ten days are left of a server's certificate."""
    old, key = (stack.read(f"tls/{server}/server.{ending}") for ending in ("crt", "key"))
    stack.write(f"tls/{server}/server.crt", shortened(stack, old, key))


def _load(stack: StackUnderTest) -> list[pem.Pair]:
    """Return the stack's authorities, oldest first."""
    with tempfile.TemporaryDirectory() as folder:
        certificates, keys = (Path(folder) / name for name in ("ca.crt", "ca.key"))
        certificates.write_text(stack.read("tls/ca.crt"))
        keys.write_text(stack.read("tls/ca.key"))
        found = pem.load_pairs(pem.load_certificates(certificates), keys)
    return sorted(found, key=lambda each: each.certificate.not_valid_after_utc)
