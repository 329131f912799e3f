"""A stack's certificates: made, renewed while sessions live on, and trusted through the renewal of their authority."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from keelson import paths
from keelson.errors import SettingsError
from keelson.local import authorities, pem, processes, server, tls
from keelson.local.registry import Registry
from tests.local.conftest import LocalStack, wait_until

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)


@dataclass
class Certified:
    """A server's files, as they are renewed at any time."""

    key: str
    directory: Path

    def renew(self, after: dt.timedelta, *names: str) -> bool:
        return tls.ensure_server(self.key, self.directory, "main", names, NOW + after)

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    @property
    def certificate(self) -> x509.Certificate:
        return pem.load_certificates(self.directory / "server.crt")[0]

    @property
    def trusted(self) -> str:
        return tls.authority_file(self.key).read_text()


@pytest.fixture
def certified(home: Path) -> Certified:
    """A server that was just given its certificate."""
    made = Certified("test-dev", home / "tls")
    assert made.renew(0 * DAY)
    return made


def of_session(connection: psycopg.Connection) -> int:
    """The serial number of the certificate that the server proves itself with to new sessions."""
    return serial_at(connection.info.port)


def serial_at(port: int) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        plain.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as wrapped:
            return x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"").serial_number


@contextmanager
def answering(directory: Path) -> Iterator[int]:
    """A server that proves itself with a directory's certificate to one client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            plain, _ = listening.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as wrapped:
                    wrapped.recv(1)
            except OSError:
                plain.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


def is_verified(certified: Certified, bundle: str) -> bool:
    """Whether a client that trusts `bundle` believes the server."""
    context = ssl.create_default_context(cadata=bundle)
    with answering(certified.directory) as port, socket.create_connection(("127.0.0.1", port), 5) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
                wrapped.sendall(b"x")
        except ssl.SSLCertVerificationError:
            return False
        return True


def shortened(certified: Certified, life: dt.timedelta, left: dt.timedelta) -> None:
    """Put a certificate of the stack's authority in place that has so much of its life left."""
    (ca,) = authorities.ensure(certified.key, NOW).pairs
    pair = pem.load(certified.directory, "server")
    assert pair
    old = pair.certificate
    builder = pem.builder(old.subject, old.issuer, pair.key, pem.Life(NOW + left - life, NOW + left))
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    made = builder.add_extension(names, critical=False).sign(ca.key, hashes.SHA256())
    paths.write_private(certified.directory / "server.crt", pem.text(made))


def test_a_certificate_stays_until_a_third_of_its_life_is_left(certified: Certified) -> None:
    before = certified.serial
    assert not certified.renew(243 * DAY)
    assert certified.serial == before
    assert certified.renew(244 * DAY)
    assert certified.serial != before


def test_a_certificate_is_renewed_when_its_names_change(certified: Certified) -> None:
    assert certified.renew(0 * DAY, "main.example", "10.0.0.1")
    names = certified.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "main.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1", "10.0.0.1"]
    assert not certified.renew(0 * DAY, "main.example", "10.0.0.1")
    assert certified.renew(0 * DAY)


def test_a_running_server_takes_a_renewed_certificate_and_sessions_live_on(running: LocalStack) -> None:
    certified = Certified(running.key, running.spec().directory / "tls")
    pid = running.pid()
    shortened(certified, 90 * DAY, 31 * DAY)
    server.start(running.spec())
    kept = certified.serial
    shortened(certified, 90 * DAY, 29 * DAY)
    with server.connect(running.key, "main") as session:
        backend = session.info.backend_pid
        assert server.start(running.spec()).pid == pid
        assert certified.serial != kept
        wait_until(lambda: of_session(session) == certified.serial)
        row = session.execute("SELECT pg_backend_pid()").fetchone()
        assert row == (backend,)
    assert processes.look(pid) is not None


def test_what_is_renewed_first_is_known(certified: Certified) -> None:
    found = tls.first_due(certified.key, "main", certified.directory)
    assert found["of"] == "main"
    assert dt.datetime.fromisoformat(found["ends"]) == certified.certificate.not_valid_after_utc
    renewal = dt.datetime.fromisoformat(found["renewal"])
    assert certified.renew(renewal - NOW + DAY)
    assert tls.first_due(certified.key)["of"] == "authority"


def test_a_certificate_of_which_a_kill_left_a_part_is_made_whole(certified: Certified) -> None:
    for gone in ("ca.crt", "server.crt", "server.key"):
        (certified.directory / gone).unlink()
        assert certified.renew(0 * DAY)
        assert (certified.directory / "ca.crt").read_text() == certified.trusted
        assert not certified.renew(0 * DAY)


def test_the_next_authority_is_trusted_before_anything_is_signed_by_it(certified: Certified) -> None:
    old = certified.trusted
    assert certified.renew(2400 * DAY)
    assert certified.trusted == old
    assert certified.renew(2500 * DAY)
    assert certified.trusted.startswith(old)
    assert certified.trusted.count("BEGIN CERTIFICATE") == 2
    assert (certified.directory / "ca.crt").read_text() == certified.trusted


def test_no_client_is_cut_off_while_authorities_change(certified: Certified) -> None:
    first = certified.trusted
    assert certified.renew(2500 * DAY)
    both = certified.trusted
    old, new = x509.load_pem_x509_certificates(both.encode())
    signed = [certified.certificate]
    for day in range(2500, 3650 + 400, 50):
        certified.renew(day * DAY)
        if certified.certificate != signed[-1]:
            signed.append(certified.certificate)
        assert any(pem.issued(signed[-1], each) for each in (old, new))
        assert signed[-1].not_valid_after_utc > NOW + day * DAY
    by_old = [each for each in signed if pem.issued(each, old)]
    assert len(by_old) > 2
    assert len(signed) > len(by_old)
    assert max(each.not_valid_after_utc for each in by_old) <= old.not_valid_after_utc
    assert old not in x509.load_pem_x509_certificates(certified.trusted.encode())
    assert first in both


def begun(home: Path, days: int) -> Certified:
    """A server of a stack that was made so many days ago."""
    made = Certified("test-dev", home / "tls")
    made.renew(-days * DAY)
    return made


def test_a_client_with_the_old_file_goes_on_once_the_next_authority_is_there(home: Path) -> None:
    certified = begun(home, 2500)
    old = certified.trusted
    certified.renew(0 * DAY)
    assert certified.trusted != old
    assert is_verified(certified, old)
    assert is_verified(certified, certified.trusted)


def test_a_client_that_fetched_the_file_goes_on_when_the_old_authority_ends(home: Path) -> None:
    certified = begun(home, 3500)
    old = certified.trusted
    certified.renew(-1000 * DAY)
    both = certified.trusted
    certified.renew(0 * DAY)  # it has 150 days left, so the next one signs
    assert certified.trusted == both
    assert is_verified(certified, both)
    assert not is_verified(certified, old)


def test_the_leading_certificate_of_a_server_s_file_is_its_own_authority_s(certified: Certified) -> None:
    certified.renew(2500 * DAY)
    certified.renew(3400 * DAY)  # the old authority ends before a year has passed
    found = pem.load_certificates(certified.directory / "ca.crt")
    assert len(found) == 2
    assert pem.issued(certified.certificate, found[0])
    assert found[0].not_valid_after_utc > found[1].not_valid_after_utc


def test_keys_are_for_their_owner_alone_and_the_authority_s_stays_in_one_place(running: LocalStack, home: Path) -> None:
    keys = [each for each in home.rglob("*") if each.is_file() and b"PRIVATE KEY" in each.read_bytes()]
    assert sorted(each.name for each in keys) == ["ca.key", "server.key"]
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in keys)
    assert Registry(running.key).directory / "tls/ca.key" in keys


def test_a_server_speaks_tls_1_3_unless_its_settings_say_1_2(
    running: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert running.execute(version) == [("TLSv1.3",)]
    monkeypatch.setenv("PGSSLMAXPROTOCOLVERSION", "TLSv1.2")
    assert not running.answering()
    monkeypatch.delenv("PGSSLMAXPROTOCOLVERSION")
    server.start(running.spec(parameters={"ssl_min_protocol_version": "TLSv1.2"}))
    monkeypatch.setenv("PGSSLMAXPROTOCOLVERSION", "TLSv1.2")
    assert running.execute(version) == [("TLSv1.2",)]


def test_no_older_protocol_can_be_set(local: LocalStack) -> None:
    with pytest.raises(SettingsError, match=r"ssl_min_protocol_version cannot be set \(set TLSv1.2 or TLSv1.3"):
        server.check(local.spec(parameters={"ssl_min_protocol_version": "TLSv1"}))


@pytest.fixture
def authority_of_old() -> Callable[[str], str]:
    """Writes an authority as an older release did, and returns its certificate."""

    def write(key: str) -> str:
        secret, name = pem.new_key(), pem.named(f"Keelson {key}")
        unsigned = pem.builder(name, name, secret, pem.Life.of_days(3650, NOW))
        unsigned = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        unsigned = unsigned.add_extension(pem.usage(signs_certificates=True), critical=True)
        directory = paths.private_directory(tls.authority_file(key).parent)
        pem.save(directory, "ca", pem.Pair(pem.signed(unsigned, secret), secret))
        return (directory / "ca.crt").read_text()

    return write


def test_the_authority_of_an_older_release_goes_on(authority_of_old: Callable[[str], str], home: Path) -> None:
    written = authority_of_old("test-dev")
    certified = Certified("test-dev", home / "tls")
    assert certified.renew(0 * DAY)
    assert certified.trusted == written
    assert is_verified(certified, written)
