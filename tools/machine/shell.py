"""What a shell needs so that `pulumi up` typed by hand works: `. .keelson/env`, in sh, bash and zsh.

The programs' part of it, `.keelson/path`, is all that `make` takes: `keelson` finds the backend and the passphrase by itself,
stack by stack, and the engine by the link `.keelson/engine`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from keelson import paths
from tools.machine import engine, environment, places

ENGINE_LINK = places.LOCAL / "engine"
PATH_FILE = places.LOCAL / "path"
PATH_TEXT = """\
# Written by the set-up: the programs of this checkout, once, in front of PATH.
_keelson_path() {{ case ":$PATH:" in *":$1:"*) ;; *) PATH=$1:$PATH ;; esac; }}
_keelson_path {engine}
_keelson_path {venv}
export PATH
unset -f _keelson_path
"""
FILE = places.LOCAL / "env"
TEXT = """\
# Written by the set-up; read it into a shell with `. .keelson/env`.
. {path}

# A backend of yours, by PULUMI_BACKEND_URL or by `pulumi login`, stays; without one, files on this machine.
if [ -z "${{PULUMI_BACKEND_URL:-}}${{PULUMI_ACCESS_TOKEN:-}}" ] &&
    ! grep -Eqs '"current": *"[^"]' "${{PULUMI_HOME:-$HOME/.pulumi}}/credentials.json"; then
    case "${{XDG_STATE_HOME:-}}" in
        /*) PULUMI_BACKEND_URL=file://$XDG_STATE_HOME/keelson/pulumi ;;
        *) PULUMI_BACKEND_URL=file://$HOME/.local/state/keelson/pulumi ;;
    esac
    export PULUMI_BACKEND_URL
    (umask 077 && mkdir -p "${{PULUMI_BACKEND_URL#file://}}")
fi

# The published passphrase of the stacks dev and docker; it protects nothing and is not meant for others.
if [ -z "${{PULUMI_CONFIG_PASSPHRASE+set}}" ] && [ -z "${{PULUMI_CONFIG_PASSPHRASE_FILE:-}}" ]; then
    export PULUMI_CONFIG_PASSPHRASE=keelson
fi
export PULUMI_SKIP_UPDATE_CHECK=true
# Resources are compared side by side; of hundreds an `up` that changes nothing takes a fifth less.
export PULUMI_PARALLEL_DIFF=${{PULUMI_PARALLEL_DIFF:-true}}
"""


def ensure() -> None:
    """Write the two files and the link where they are missing or say something else."""
    chosen = engine.binaries()
    places.point(ENGINE_LINK, chosen)
    programs = {"engine": shlex.quote(str(chosen)), "venv": shlex.quote(str(environment.VENV / "bin"))}
    _write(PATH_FILE, PATH_TEXT.format_map(programs))
    _write(FILE, TEXT.format(path=shlex.quote(str(PATH_FILE))))


def _write(file: Path, text: str) -> None:
    if not file.exists() or file.read_text() != text:
        paths.write_private(file, text)
