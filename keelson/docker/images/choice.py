"""Which image a part's container is made from, by the stack's settings."""

from __future__ import annotations

from keelson.docker.images import official, recipes
from keelson.docker.images.traits import Traits
from keelson.settings.images import ImageName, ImageSettings, ImagesSettings

_ELSEWHERE = {  # what an image of the user's own is like, where there is no official one
    "agent": Traits(reference="", uid=recipes.AGENT.uid, gid=recipes.AGENT.gid, data="", programs=""),
    "postgres-ha": Traits(reference="", uid=recipes.HA.uid, gid=recipes.HA.gid, data=recipes.HA_DATA, programs=""),
    "pgbouncer": Traits(reference="", uid=recipes.PGBOUNCER.uid, gid=recipes.PGBOUNCER.gid, data="", programs=""),
    "haproxy": Traits(reference="", uid=recipes.HAPROXY.uid, gid=recipes.HAPROXY.gid, data="", programs=""),
    "postgres-exporter": Traits(reference="", uid=recipes.EXPORTER.uid, gid=recipes.EXPORTER.gid, data="", programs=""),
    "redis-exporter": Traits(reference="", uid=recipes.EXPORTER.uid, gid=recipes.EXPORTER.gid, data="", programs=""),
}


def chosen(settings: ImagesSettings, name: ImageName) -> Traits:
    """Return the image of the user's own, else the official one or the one made here, as the settings say.

    Those without an official one are always made here, or the user's own. Raises PlatformError as `recipes.find` does.
    """
    if own := settings.image.get(name):
        return _own(own, official.BY_NAME.get(name) or _ELSEWHERE[name])
    if is_made_here(settings, name):
        return recipes.traits(name)
    return official.BY_NAME[name]


def image_of_server(timescaledb: bool) -> ImageName:  # noqa: FBT001 - the setting's own name
    """Return the image of a server of one instance."""
    return "timescaledb" if timescaledb else "postgres"


def is_made_here(settings: ImagesSettings, name: ImageName) -> bool:
    """Say whether an image is of the same Debian packages as the agent's, whose server has just what this one has."""
    return name not in settings.image and (settings.images == "debian" or name not in official.BY_NAME)


def _own(image: ImageSettings, usual: Traits) -> Traits:
    return Traits(
        reference=image.reference,
        uid=usual.uid if image.uid is None else image.uid,
        gid=usual.gid if image.gid is None else image.gid,
        data=usual.data,
        programs=usual.programs,
        capabilities=usual.capabilities,
    )
