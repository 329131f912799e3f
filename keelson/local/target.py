"""The target `local`: servers as processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keelson.errors import ServerError, UnreachableError
from keelson.local import registry, root, server, supervisor, tls
from keelson.local.registry import Registry
from keelson.target import Address, Part

LOOPBACK = "127.0.0.1"
