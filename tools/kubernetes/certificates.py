"""The certificates of a test cluster: one authority, and a client's or server's certificate for each part."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keelson import paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIFE = dt.timedelta(days=365)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Authority:
    """The cluster's certificate authority; its files lie in `directory`."""

    directory: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, directory: Path) -> Self:
        """Make an authority (`ca.crt`, `ca.key`), and the key with which tokens of service accounts are signed."""
        paths.private_directory(directory)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("keelson-test-cluster", None)
        certificate = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        made = cls(directory, certificate, key)
        made._save("ca", certificate, key)
        made._save_key("accounts", ec.generate_private_key(ec.SECP256R1()))
        return made

    def issue(self, name: str, subject: str, group: str | None = None, hosts: Sequence[str] = ()) -> None:
        """Write `name`.crt and .key for a client `subject` of `group`; with `hosts`, for a server too."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = (
            _builder(_name(subject, group), self.certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(each) for each in hosts])
            builder = builder.add_extension(names, critical=False)
        self._save(name, builder.sign(self.key, hashes.SHA256()), key)

    def kubeconfig(self, file: Path, name: str, server: str) -> None:
        """Write the kubeconfig of the client whose certificate is called `name`, with all that it needs inside."""

        def content(part: str) -> str:
            return base64.b64encode((self.directory / part).read_bytes()).decode()

        cluster = {"server": server, "certificate-authority-data": content("ca.crt")}
        user = {"client-certificate-data": content(f"{name}.crt"), "client-key-data": content(f"{name}.key")}
        described = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        }
        paths.write_private(file, json.dumps(described, indent=2) + "\n")

    def _save(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        paths.write_private(self.directory / f"{name}.crt", certificate.public_bytes(PEM).decode())
        self._save_key(name, key)

    def _save_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        text = key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        paths.write_private(self.directory / f"{name}.key", text.decode())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(subject: str, group: str | None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, subject)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
