from __future__ import annotations

import pytest

from keelson.errors import PlatformError
from tools.machine import mirror
from tools.machine.mirror import Mirror

DEB822 = """\
# comment
Types: deb deb-src
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
# URIs: https://other.example
URIs: https://mirror.example/security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://apt.example/pgdg bookworm-pgdg main
deb [trusted=yes] http://inner.example/debian bookworm main # the house's
deb-src http://inner.example/debian bookworm main
deb http://inner.example/sec bookworm-security main
"""
MIRROR_FILE = "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\nComponents: main\n"
DISABLED = "Enabled: no\n" + DEB822


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.delenv(mirror.VARIABLE, raising=False)


@pytest.fixture
def find(tmp_path):
    """Look for the mirror on a host with the given files."""

    def look(os_release: str = "ID=debian\nVERSION_CODENAME=bookworm\n", **files: str) -> Mirror:
        (tmp_path / "sources.list.d").mkdir()
        (tmp_path / "os-release").write_text(os_release)
        for name, text in files.items():
            path = (
                tmp_path
                / {"list": "sources.list", "sources": "sources.list.d/debian.sources", "debootstrap": "debootstrap"}[
                    name
                ]
            )
            path.write_text(text)
        return mirror.find(tmp_path, tmp_path / "os-release", tmp_path / "debootstrap")

    return look


def test_the_archive_comes_from_deb822_sources(find):
    assert find(sources=DEB822) == Mirror("https://mirror.example/debian", "https://mirror.example/security")


def test_the_archive_comes_from_one_line_sources_with_their_trust(find):
    assert find(list=ONE_LINE) == Mirror("http://inner.example/debian", "http://inner.example/sec", trusted=True)


def test_a_list_of_mirrors_is_passed_on(find):
    found = find('ID=debian\nVERSION_CODENAME="trixie"\n', sources=MIRROR_FILE)
    assert found == Mirror("mirror+file:///etc/apt/mirrors/debian.list", None)


def test_a_machine_without_a_security_source_takes_the_one_beside_the_archive(find):
    assert find(list="deb http://one.example/debian bookworm main\n").security == "http://one.example/debian-security"


def test_another_distribution_takes_debootstraps_default(find):
    found = find(
        "ID=ubuntu\nVERSION_CODENAME=bookworm\n",
        sources=DEB822,
        debootstrap='DEF_MIRROR="http://default.example/debian"\n',
    )
    assert found == Mirror("http://default.example/debian", "http://default.example/debian-security")


def test_the_users_choice_goes_first(find, monkeypatch):
    monkeypatch.setenv(mirror.VARIABLE, "https://chosen.example/debian/")
    assert find(sources=DEB822).archive == "https://chosen.example/debian"


@pytest.mark.parametrize("text", ["", DISABLED.split("\n\n", maxsplit=1)[0]])
def test_no_archive_is_told_with_the_way_out(find, text):
    with pytest.raises(PlatformError, match=mirror.VARIABLE):
        find(sources=text)


def test_the_suite_itself_is_the_first_source_and_all_are_signed():
    lines = Mirror("a", "b").lines("trixie")
    assert [line.split()[-3:] for line in lines] == [
        ["a", "trixie", "main"],
        ["a", "trixie-updates", "main"],
        ["b", "trixie-security", "main"],
    ]
    assert all("signed-by=" in line for line in lines)
