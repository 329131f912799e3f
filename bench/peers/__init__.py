"""The tools that migrations are compared with: how each is installed, what its files look like, how it is called."""

from bench.peers.binaries import Dbmate, Flyway, GolangMigrate, Goose, Tern
from bench.peers.keelson import Keelson
from bench.peers.peer import Migration, MissingError, Peer
from bench.peers.scripts import Alembic, Psql, PsqlTransactions, Sqitch, Yoyo

ALL: tuple[Peer, ...] = (
    Keelson(),
    Psql(),
    PsqlTransactions(),
    Goose(),
    Tern(),
    Dbmate(),
    GolangMigrate(),
    Alembic(),
    Yoyo(),
    Flyway(),
    Sqitch(),
)

__all__ = ["ALL", "Migration", "MissingError", "Peer"]
