"""Starting a stack when its user logs in: a systemd user unit where systemd runs for the user, else a block in ~/.profile."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import paths
from keelson.errors import PlatformError
from keelson.local import supervisor, supervisor_files

if TYPE_CHECKING:
    from collections.abc import Sequence

UNIT = """\
[Unit]
Description=Keelson stack {key}

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory={directory}
ExecStart={command}
# supervisord stops its servers cleanly; without this every process would get a signal that means something else to it.
ExecStop=/bin/sh -c 'pid=$$(cat {pid_file}) && kill -TERM "$$pid" && tail --pid="$$pid" -f /dev/null'
TimeoutStopSec={seconds}

[Install]
WantedBy=default.target
"""


def start_at_login(key: str, command: Sequence[str], directory: Path) -> str:
    """Let `command` run in `directory` whenever the user logs in, and return a sentence that says how.

    Raises:
        PlatformError: the unit or ~/.profile cannot be written, or systemd refuses.
    """
    if _systemd_runs():
        unit = _unit(key)
        if not unit.parent.is_dir():
            paths.private_directory(unit.parent)
        paths.write_private(unit, _unit_text(key, command, directory))
        _systemctl("daemon-reload")
        _systemctl("enable", unit.name)
        return f"stack {key} starts at login by the systemd user unit {unit.name}"
    words = f"cd {shlex.quote(str(directory))} && {shlex.join(command)}"
    _write_profile(key, f"({words}) >/dev/null 2>&1 &\n")
    return f"stack {key} starts at login by a block in {_profile()}"


def undo(key: str) -> str:
    """Take back what `start_at_login` did, and return a sentence that says so."""
    unit = _unit(key)
    known = unit.exists() or _marks(key)[0] in _read_profile()
    if unit.exists():
        if _systemd_runs():
            _systemctl("disable", unit.name)
        unit.unlink()
    _write_profile(key, "")
    return f"stack {key} no longer starts at login" if known else f"stack {key} did not start at login"


def _systemd_runs() -> bool:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return bool(runtime and (Path(runtime) / "systemd").is_dir() and shutil.which("systemctl"))


def _unit(key: str) -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".config"
    return home / "systemd" / "user" / f"keelson-{key}.service"


def _unit_text(key: str, command: Sequence[str], directory: Path) -> str:
    return UNIT.format(
        key=key,
        directory=str(directory).replace("%", "%%"),
        command=" ".join(_word(word) for word in command),
        pid_file=shlex.quote(str(supervisor.directory(key) / "supervisord.pid")).replace("'", '"').replace("%", "%%"),
        seconds=supervisor_files.STOP_SECONDS + 10,
    )


def _word(text: str) -> str:
    """Return a word of a command line as systemd reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(["systemctl", "--user", *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        msg = f"systemctl --user {arguments[0]} failed ({done.stderr.strip()}); set up the start at login by hand"
        raise PlatformError(msg)


def _profile() -> Path:
    return (Path.home() / ".profile").resolve()  # often a link into a repository of such files


def _marks(key: str) -> tuple[str, str]:
    return f"# >>> keelson {key} >>>\n", f"# <<< keelson {key} <<<\n"


def _read_profile() -> str:
    try:
        return _profile().read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as fault:
        msg = f"cannot read {_profile()}: {fault.strerror}; give yourself read access and run the command again"
        raise PlatformError(msg) from None


def _write_profile(key: str, lines: str) -> None:
    """Replace the stack's block in ~/.profile; take it out if `lines` is empty."""
    old = _read_profile()
    first, last = _marks(key)
    before, _, rest = old.partition(first)
    after = rest.partition(last)[2]
    if before and not before.endswith("\n") and lines:
        before += "\n"
    new = before + (first + lines + last if lines else "") + after
    if new == old:
        return
    if any("\udc80" <= letter <= "\udcff" for letter in new):
        msg = f"{_profile()} is not UTF-8; convert it, or set up the start at login by hand"
        raise PlatformError(msg)
    mode = _profile().stat().st_mode & 0o777 if old else 0o644
    paths.write_private(_profile(), new)
    _profile().chmod(mode)
