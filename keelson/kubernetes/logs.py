"""What containers of pods wrote, as the cluster's API has it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlencode

from keelson.errors import UnreachableError
from keelson.kubernetes import faults, streams
from keelson.kubernetes.cluster import GOOD, MANAGER, SECONDS_TO_ANSWER, SECONDS_TO_CONNECT, Cluster, Json
from keelson.kubernetes.faults import ApiError
from keelson.local.root import telling
from keelson.reasons import reason

POLL = 0.5
LOOKED_AT = 20  # lines, for the one that says why a container ended


def read(
    cluster: Cluster, pod: Json, *, lines: int | None = None, previous: bool = False, follow: bool = False
) -> Iterator[bytes]:
    """Give what a pod's container wrote, in blocks.

    Args:
        cluster: of the pod.
        pod: whose first container is meant.
        lines: only so many of the last.
        previous: of the container before the last restart.
        follow: go on until the container ends.

    Raises:
        PlatformError: the API refuses, for example as the container has not been started.
    """
    from urllib3 import Timeout  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    link, path = cluster.link, f"{cluster.at('pods', pod['metadata']['name'])}/log"
    flags = {"previous": previous, "follow": follow}
    query = {"container": streams.container(pod), **{name: "true" for name, value in flags.items() if value}}
    query |= {} if lines is None else {"tailLines": str(lines)}
    timeout = Timeout(connect=SECONDS_TO_CONNECT, read=None if follow else SECONDS_TO_ANSWER)
    try:
        answer = link.pool.request(
            "GET",
            f"{link.server}{path}?{urlencode(query)}",
            headers={"User-Agent": MANAGER, **link.headers()},
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=timeout,
        )
        try:
            if answer.status >= GOOD:
                raise faults.refused(link, "read", path, answer.status, answer.data)
            yield from answer.stream()
        finally:
            answer.close()
    except HTTPError as fault:
        raise faults.unanswered(link, reason(fault)) from None


def why(cluster: Cluster, pod: Json) -> str:
    """Return the line that says why a pod's container ended, also once another one runs in its place; nothing where it wrote none."""
    return telling(_last(cluster, pod, previous=_restarted(pod)))


def last_line(cluster: Cluster, pod: Json, besides: str) -> str:
    """Return the last line that a pod's container wrote, one that does not begin with `besides` if it can be; nothing where there is none.

    What it wrote on its two streams stands there in no certain order.
    """
    lines = _last(cluster, pod)
    said = [line for line in lines if not line.startswith(besides)]
    return next(reversed(said or lines), "").strip()


def _last(cluster: Cluster, pod: Json, *, previous: bool = False) -> list[str]:
    with suppress(ApiError):
        text = b"".join(read(cluster, pod, lines=LOOKED_AT, previous=previous)).decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]
    return []


def show(
    cluster: Cluster, find: Callable[[], Json | None], lines: int, write: Callable[[bytes], object], *, follow: bool
) -> None:
    """Write the last lines of a part's log, of the container before too where that ended by itself, and what comes.

    Args:
        cluster: of the pod.
        find: gives the pod that is meant now.
        lines: how many.
        write: takes a block.
        follow: go on, also with what runs in its place afterwards.

    Raises:
        UnreachableError: it has no pod.
        PlatformError: the API refuses.
    """
    pod = find()
    if pod is None:
        msg = "it has no pod, so there is no log"
        raise UnreachableError(msg)
    if _restarted(pod):
        with suppress(ApiError):  # the node may have removed it
            _write(read(cluster, pod, lines=lines, previous=True), write)
    _write(read(cluster, pod, lines=lines, follow=follow), write)
    seen = _run(pod)
    while follow:
        pod = find()
        if pod is None or not _run(pod):
            time.sleep(POLL)
            continue
        new = _run(pod) != seen
        seen = _run(pod)
        with suppress(ApiError):  # it has gone meanwhile
            _write(read(cluster, pod, lines=None if new else 0, follow=True), write)
        if not new:
            time.sleep(POLL)


def _write(blocks: Iterator[bytes], write: Callable[[bytes], object]) -> None:
    for block in blocks:
        write(block)


def _status(pod: Json) -> Json:
    name = streams.container(pod)
    found = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in found if each["name"] == name), {})


def _run(pod: Json) -> str:
    """Return which container it is that runs now."""
    return str(_status(pod).get("containerID", "")) if "running" in (_status(pod).get("state") or {}) else ""


def _restarted(pod: Json) -> bool:
    """Say whether its container runs for another that had ended, and is not ready yet."""
    status = _status(pod)
    return bool(_run(pod) and status.get("restartCount") and not status.get("ready"))
