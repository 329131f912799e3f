"""The target `docker`: servers and daemons as containers of a Docker daemon."""

from __future__ import annotations
