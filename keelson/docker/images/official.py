"""The official images, by tag and digest. The digest decides; the tag is for people.

Each digest is the one of the index of all architectures, and was found in more than one public project that pins it together
with this tag. Nobody asked a registry for them here: the first pull does, and refuses what is not that content.

Redis stays at 8.2: the agent reads a backup back with Debian's Redis 8.0, which knows the file format of 8.2.
"""

from __future__ import annotations

from keelson.docker.images.traits import Traits

POSTGRES = Traits(
    reference="postgres:17.11@sha256:d74eeac9a635390a49bc21bd49fccd973de707e2a53a76ac49b552b8712ec46f",
    uid=999,
    gid=999,
    data="/var/lib/postgresql/data",
    programs="/usr/lib/postgresql/17/bin",
)
TIMESCALEDB = Traits(
    reference=(
        "timescale/timescaledb-ha:pg17.11-ts2.30.2"
        "@sha256:2fcc39a5d4c8a65f58691ef92c7819df5773db72397b2dd8493f114659b519c2"
    ),
    uid=1000,
    gid=1000,
    data="/home/postgres/pgdata/data",
    programs="/usr/lib/postgresql/17/bin",
    timescale_edition="community",
)
REDIS = Traits(
    reference="redis:8.2.7-bookworm@sha256:d30960f73a599496d8b2802c97758bab6b1cd421fd06337f837779c47a57e1f3",
    uid=999,
    gid=999,
    data="/data",
    programs="/usr/local/bin",
)
PGADMIN = Traits(
    reference="dpage/pgadmin4:9.17@sha256:2f4ce946ddf8360680d7eff4eaba1d91859eb6b4003e6623bad5c63a322c2f4d",
    uid=5050,
    gid=0,  # where its user belongs to
    data="/var/lib/pgadmin",
    programs="/usr/local/pgsql-17",
    capabilities=("NET_BIND_SERVICE",),  # its Python has it as a file capability, and does not run where it is dropped
)

BY_NAME = {"postgres": POSTGRES, "timescaledb": TIMESCALEDB, "redis": REDIS, "pgadmin": PGADMIN}
