"""The engine that is used: another one is another module with what `keelson.backups.physical.engine.Engine` asks for, and this line."""

from __future__ import annotations

from keelson.backups.physical.engine import Engine
from keelson.backups.physical.pgbackrest import PgBackRest

ENGINE: Engine = PgBackRest()
