"""The sentinels beside the instances of a Redis in a cluster: what they know, and what they are told."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from keelson.containers import replicas as wanted
from keelson.containers import state
from keelson.errors import ServerError
from keelson.kubernetes import forward, part, standing
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.replicas import Instance
from keelson.redis.server import ANSWER_SECONDS, CHANGE_SECONDS
from keelson.redis.wire import Conversation, RefusedError, Reply, conversation
from keelson.target import Address


def correct(spec: KubernetesSpec, instance: Instance) -> None:
    """Let a sentinel know how many must agree, and forget instances that are gone."""
    others, hosts = standing.count(spec) - 1, standing.addresses(spec)

    def known() -> bool:
        with _open(spec, instance) as asked:
            found = [_listed(asked, kind, spec.name) for kind in ("REPLICAS", "SENTINELS")]
            return all(len(each) == others and {one["ip"] for one in each} <= hosts.keys() for each in found)

    with _open(spec, instance) as asked:
        asked.ask("SENTINEL", "SET", spec.name, "quorum", str(standing.count(spec) // 2 + 1))
    until = time.monotonic() + 10
    while not known():
        if time.monotonic() > until:
            with _open(spec, instance) as asked:
                asked.ask("SENTINEL", "RESET", spec.name)
            standing.wait(known, f"the sentinel of {instance.host} does not find the others")
        time.sleep(standing.POLL)


def renew(spec: KubernetesSpec, instance: Instance) -> None:
    """Have a sentinel that shows another certificate than lies in its files start anew: it reads them once. Clients do not notice."""
    if not (wanted_one := part.texts(spec).get("server.crt")):
        return
    port = forward.port(spec.place, spec.key, forward.pod(instance.pod), wanted.SENTINEL_PORT)

    def shows_it() -> bool:
        try:
            shown = ssl.get_server_certificate((forward.LOOPBACK, port), timeout=ANSWER_SECONDS)
        except OSError:
            return False
        return shown.strip() == wanted_one.strip()

    if shows_it():
        return
    with suppress(ServerError), _open(spec, instance) as asked:
        asked.ask("SHUTDOWN")  # it hangs up
    standing.wait(shows_it, f"the sentinel of {instance.host} does not show its new certificate")


def bars(spec: KubernetesSpec, at: Instance, leaving: Sequence[Instance]) -> bool:
    """Say whether a sentinel knows that none of those that go may become the master."""
    with _open(spec, at) as asked:
        known = _listed(asked, "REPLICAS", spec.name)
    gone = {each.host for each in leaving}
    hosts = standing.addresses(spec, standing.recorded(spec))
    return all(each.get("slave-priority") == "0" for each in known if hosts.get(each["ip"]) in gone)


@contextmanager
def _open(spec: KubernetesSpec, instance: Instance) -> Iterator[Conversation]:
    """Log in to the sentinel beside an instance; raises ServerError where it does not answer."""
    port = forward.port(spec.place, spec.key, forward.pod(instance.pod), wanted.SENTINEL_PORT)
    address = Address(host=forward.LOOPBACK, port=port, root_certificate=standing.root(spec))
    try:
        with conversation(address, "sentinel", state.password(spec, "sentinel"), CHANGE_SECONDS) as asked:
            yield asked
    except (RefusedError, OSError) as found:
        msg = f"the sentinel of {instance.host} does not answer ({found}); see `{spec.found.kubectl(f'logs {instance.pod} -c sentinel')}`"
        raise ServerError(msg) from None


def _listed(asked: Conversation, kind: str, name: str) -> list[dict[str, str]]:
    found = asked.ask("SENTINEL", kind, name)
    return [_fields(each) for each in found] if isinstance(found, list) else []


def _fields(reply: Reply) -> dict[str, str]:
    words = [str(word) for word in reply] if isinstance(reply, list) else []
    return dict(zip(words[::2], words[1::2], strict=True))
