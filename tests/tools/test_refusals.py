from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.machine import host
from tools.machine.places import PROJECT

NEEDED = ("bash", "dirname", "readlink", "env")


def run_setup(
    tmp_path: Path, *, system: str = "Linux", machine: str = "x86_64", apt: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the entry with a `uname` of our own and, but for `apt`, on a machine without Debian's tools."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in NEEDED:
        (programs / name).symlink_to(f"/usr/bin/{name}")
    (programs / "uname").write_text(f'#!/usr/bin/bash\n[ "$1" = -m ] && echo {machine} || echo {system}\n')
    for name in ("apt-get", "dpkg-deb") if apt else ():
        (programs / name).write_text("#!/usr/bin/bash\nexit 1\n")
    for file in programs.iterdir():
        if not file.is_symlink():
            file.chmod(0o755)
    return subprocess.run(
        [PROJECT / "tools" / "setup"], env={"PATH": str(programs)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("system", "machine", "advice"),
    [
        ("Darwin", "arm64", "on macOS use target docker"),
        ("MINGW64_NT-10.0-22631", "x86_64", "inside WSL 2"),
        ("MSYS_NT-10.0-22631", "x86_64", "inside WSL 2"),
        ("FreeBSD", "amd64", "use a Debian machine"),
        ("Linux", "riscv64", "x86_64 and aarch64 are"),
        ("Linux", "x86_64", "no apt; use target docker"),
    ],
)
def test_a_machine_that_cannot_do_it_is_refused_in_one_sentence_that_says_what_to_use(
    tmp_path, system, machine, advice
):
    done = run_setup(tmp_path, system=system, machine=machine)
    assert done.returncode == 1
    assert done.stdout == ""
    assert advice in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("keelson: ")


@pytest.mark.parametrize(
    ("may", "sentence"),
    [
        ("apt-get", "apt could not install bubblewrap"),
        ("nothing", "you may not install packages; ask its administrator"),
    ],
)
def test_a_user_who_may_sudo_apt_alone_gets_the_missing_packages(tmp_path, may, sentence):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (*NEEDED, "grep", "mkdir", "tail", "uname"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    scripts = {
        "id": "echo 1000",
        "sudo": f'[[ "$*" == "-n -l {may}" ]] || {{ [[ "$*" == "-n {may} "* ]] && exec "${{@:2}}"; }}',
        "apt-get": 'echo "apt-get $*"; [[ $* == *update ]]',
        "dpkg-deb": "exit 1",
    }
    for name, text in scripts.items():
        (programs / name).write_text(f"#!/usr/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    setup = [PROJECT / "tools" / "setup"]
    done = subprocess.run(
        setup, env={"PATH": str(programs)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "key"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
    ],
)
def test_closed_user_namespaces_are_told_with_the_setting_that_opens_them(tmp_path, setting, value, key):
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    sentence = host.closed("No permissions", tmp_path)
    assert f"sysctl -w {key}" in sentence
    assert "target docker" in sentence


def test_user_namespaces_closed_for_an_unknown_reason_are_told_with_what_bubblewrap_said(tmp_path):
    assert "(No permissions)" in host.closed("No permissions", tmp_path)


def test_an_unwritable_cache_is_told_with_its_path(tmp_path):
    (tmp_path / "cache").write_text("a file in the way\n")
    done = subprocess.run(
        [PROJECT / "tools" / "setup", "host"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot make the directory {tmp_path}/cache/keelson" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_part_that_does_not_exist_is_wrong_use():
    done = subprocess.run([PROJECT / "tools" / "setup", "kitchen"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no part kitchen" in done.stderr
