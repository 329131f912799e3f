"""What Docker has to do around a Redis's container; what is in it stands in `keelson.containers.redis`."""

from __future__ import annotations

from functools import partial

from keelson.containers import redis
from keelson.containers.redis import SAVE_SECONDS
from keelson.docker import answers
from keelson.docker.part import DockerSpec
from keelson.errors import ServerError
from keelson.redis import server
from keelson.redis.server import BUSY_SECONDS


class RedisKind(redis.RedisKind):
    """See `keelson.docker.part.Kind` for what each method is for."""

    def before(self, spec: DockerSpec, image_id: str) -> tuple[str, ...]:  # noqa: ARG002 - the interface of a kind
        """Do nothing: Redis reads what earlier versions wrote, and itself refuses what it cannot read."""
        return ()

    def bring(self, spec: DockerSpec) -> tuple[str, ...]:
        """Wait until it has loaded its data, and set all that it takes while it runs.

        Only one that refuses its administrator starts anew, with the passwords of the stack.
        """
        _await(spec)
        if not _update(spec):
            answers.restart(spec, SAVE_SECONDS)
            _await(spec)
            if not _update(spec):
                msg = f"{spec.name} refuses the password of its administrator; see `keelson logs {spec.name}`"
                raise ServerError(msg)
        return ()


def _update(spec: DockerSpec) -> bool:
    return redis.update(spec, partial(answers.run, answers.container(spec)))


def _await(spec: DockerSpec) -> None:
    answers.wait(spec, lambda: redis.fault(spec), BUSY_SECONDS, server.reason)
