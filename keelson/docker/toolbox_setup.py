"""The places of the stack's state and backups, made ready before toolbox or agent starts."""

from __future__ import annotations

from collections.abc import Mapping

from keelson.containers.toolbox import GID, UID
from keelson.docker import daemon, names, toolbox
from keelson.docker.toolbox import File
from keelson.errors import PlatformError, SettingsError

PRIVATE = 0o700


def prepare_volumes(place: str, key: str, image: str, backups: str = "", user: tuple[int, int] = (UID, GID)) -> None:
    """Make the directories of state and backups on their volumes, owned by the agent's user; a second time is fine.

    Args:
        place: the daemon.
        key: the stack's key.
        image: the agent's image, which the daemon has.
        backups: a directory of the daemon's machine, from the settings.
        user: whom the agent's image works as, with the group.

    Raises:
        PlatformError: the daemon refuses.
        SettingsError: the directory is missing, or the agent's user cannot write there.
    """
    toolbox.write(
        place,
        key,
        image,
        {
            names.state_volume(key): _directories(user, "keelson", "stacks", key),
            names.backups_volume(key): _directories(user, "keelson", "backups", key),
        },
    )
    if backups:
        _refuse_unwritable(place, image, backups, user)


def is_prepared(place: str, key: str, image: str) -> bool:
    """Say whether both volumes and the image are there."""
    from docker.errors import NotFound  # noqa: PLC0415

    client = daemon.connect(place)
    with daemon.sentences(place):
        try:
            client.images.get(image)
            for volume in (names.state_volume(key), names.backups_volume(key)):
                client.volumes.get(volume)
        except NotFound:  # ImageNotFound is one
            return False
        return True


def has_state(place: str, key: str) -> bool:
    """Say whether the volume of the stack's state is there."""
    from docker.errors import NotFound  # noqa: PLC0415

    with daemon.sentences(place):
        try:
            daemon.connect(place).volumes.get(names.state_volume(key))
        except NotFound:
            return False
        return True


def _directories(user: tuple[int, int], *parts: str) -> Mapping[str, File]:
    paths = ["/".join(parts[:number]) + "/" for number in range(1, len(parts) + 1)]
    return {path: File("", *user, PRIVATE) for path in paths}


def _refuse_unwritable(place: str, image: str, directory: str, user: tuple[int, int]) -> None:
    """Try it, in a container that sees nothing but this directory."""
    from docker.errors import APIError, ContainerError, DockerException  # noqa: PLC0415
    from docker.types import Mount as Bind  # noqa: PLC0415

    uid, gid = user
    try:
        daemon.connect(place).containers.run(
            image,
            ["test", "-w", directory, "-a", "-x", directory],
            mounts=[Bind(directory, directory, type="bind")],
            network_mode="none",
            user=f"{uid}:{gid}",
            remove=True,
        )
    except ContainerError:
        msg = (
            f"the setting 'keelson:backup.directory' is {directory}, which user {uid} cannot write on the daemon's machine; "
            f"run `chown {uid}:{gid} {directory}` there, or set another directory"
        )
        raise SettingsError(msg) from None
    except APIError as fault:
        if "does not exist" not in str(fault.explanation):
            raise _refused(directory, fault) from None
        msg = (
            f"the setting 'keelson:backup.directory' is {directory}, which is not there on the daemon's machine; "
            f"make it there for user {uid}, or set another directory"
        )
        raise SettingsError(msg) from None
    except DockerException as fault:
        raise _refused(directory, fault) from None


def _refused(directory: str, fault: Exception) -> PlatformError:
    return PlatformError(f"the Docker daemon cannot look at {directory} ({fault}); see to it and run the command again")
