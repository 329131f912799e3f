"""A stack's own certificate authorities: one, and while it is renewed the next one beside it.

`tls/ca.crt` of the stack's state is what clients trust, oldest first; `tls/ca.key` has the keys, and leaves that directory never.
Below a third of an authority's life the next one is made, and is trusted from then on. A certificate is signed by the oldest authority
that outlives it, so clients have years to fetch the new file before anything is signed by what they do not know.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from keelson import paths
from keelson.local import pem, registry
from keelson.local.locks import exclusive
from keelson.target import Certificate

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 3650
NAME = "authority"  # among the certificates of a stack
LONGEST_KEY = 40  # letters of the stack's key that its name has: a common name has at most 64


@dataclass(frozen=True)
class Authorities:
    """Those of one stack, oldest first.

    Attributes:
        trusted: what clients verify with.
        pairs: those of them that can sign.
    """

    trusted: tuple[x509.Certificate, ...]
    pairs: tuple[pem.Pair, ...]

    def signer(self, until: dt.datetime) -> pem.Pair:
        """Return the oldest that outlives a certificate that ends at `until`; the newest where none does."""
        lasting = (each for each in self.pairs if each.certificate.not_valid_after_utc >= until)
        return next(lasting, self.pairs[-1])

    def issuer(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """Return which of them a certificate is of."""
        return next((each for each in self.trusted if pem.issued(certificate, each)), None)

    def text(self, first: x509.Certificate | None = None) -> str:
        """Return all that is trusted as one file; `first` leads, for who reads one certificate of a file."""
        ordered = sorted(self.trusted, key=lambda each: each != first) if first else self.trusted
        return "".join(map(pem.text, ordered))


def file(key: str) -> Path:
    """Return where what clients trust lies."""
    return registry.directory(key) / "tls" / "ca.crt"


def find(key: str) -> Certificate | None:
    """Return how long the newest authority is good; None where there is none yet."""
    found = _ordered(pem.load_certificates(file(key)))
    return life_of(NAME, found[-1]) if found else None


def life_of(name: str, certificate: x509.Certificate) -> Certificate:
    """Return how long a certificate is good."""
    return Certificate(server=name, begins=certificate.not_valid_before_utc, expires=certificate.not_valid_after_utc)


def ensure(key: str, now: dt.datetime) -> Authorities:
    """Return the stack's authorities, with a new one where there is none, or the newest has less than a third of its life left."""
    directory = file(key).parent
    with exclusive(directory / "lock"):
        known = _ordered(pem.load_certificates(file(key)))
        pairs = pem.load_pairs(known, directory / "ca.key")
        living = [each for each in known if each.not_valid_after_utc > now]
        if not pairs or life_of(NAME, pairs[-1].certificate).due_for_renewal(now):
            made = _make(key, now)
            pairs, living = [*pairs, made], [*living, made.certificate]
            # The key first: one without its certificate is nothing, a certificate without its key is trusted for nothing.
            paths.write_private(directory / "ca.key", "".join(pem.key_text(each.key) for each in pairs))
        if living != known:
            paths.write_private(file(key), "".join(map(pem.text, living)))
        return Authorities(tuple(living), tuple(each for each in pairs if each.certificate in living))


def _ordered(found: list[x509.Certificate]) -> list[x509.Certificate]:
    return sorted(found, key=lambda each: each.not_valid_after_utc)


def _make(key: str, now: dt.datetime) -> pem.Pair:
    secret = pem.new_key()
    name = pem.named(f"Keelson {key[:LONGEST_KEY]} {now:%Y-%m-%d}")
    unsigned = (
        pem.builder(name, name, secret, pem.Life.of_days(DAYS, now))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(pem.usage(signs_certificates=True), critical=True)
    )
    return pem.Pair(pem.signed(unsigned, secret), secret)
