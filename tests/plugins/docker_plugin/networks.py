"""Networks."""

from __future__ import annotations

from typing import Any

import docker.errors
import docker.types

from .session import PluginError, Session, daemons_words, label_list, label_map

Bag = dict[str, Any]


def create(session: Session, inputs: Bag) -> tuple[str, Bag]:
    """Create the network; its name is taken only once."""
    with daemons_words("Unable to create network"):
        made = session.api.create_network(
            inputs["name"],
            driver=inputs.get("driver"),
            options=inputs.get("options"),
            ipam=_ipam(inputs),
            check_duplicate=True,
            internal=inputs.get("internal", False),
            labels=label_map(inputs.get("labels")),
            enable_ipv6=inputs.get("ipv6", False),
            attachable=inputs.get("attachable"),
            ingress=inputs.get("ingress"),
        )
    return made["Id"], read(session, made["Id"], inputs) or {}


def _ipam(inputs: Bag) -> docker.types.IPAMConfig:
    pools = [
        docker.types.IPAMPool(each.get("subnet"), each.get("ipRange"), each.get("gateway"), each.get("auxAddress"))
        for each in inputs.get("ipamConfigs", ())
    ]
    return docker.types.IPAMConfig(inputs.get("ipamDriver", "default"), pools, inputs.get("ipamOptions"))


def read(session: Session, identity: str, _state: Bag) -> Bag | None:
    """Return what the daemon says, None when the network is gone."""
    with daemons_words("Unable to inspect network"):
        try:
            found = session.api.inspect_network(identity)
        except docker.errors.NotFound:
            return None
    return {
        "name": found["Name"],
        "labels": label_list(found["Labels"]),
        "driver": found["Driver"],
        "internal": found["Internal"],
        "attachable": found["Attachable"],
        "ingress": found["Ingress"],
        "ipv6": found["EnableIPv6"],
        "ipamDriver": found["IPAM"]["Driver"],
        "ipamOptions": found["IPAM"].get("Options") or {},
        "ipamConfigs": [_pool(each) for each in found["IPAM"].get("Config") or ()],
        "options": found["Options"] or {},
        "scope": found["Scope"],
    }


def _pool(found: Bag) -> Bag:
    names = {"Subnet": "subnet", "IPRange": "ipRange", "Gateway": "gateway", "AuxiliaryAddresses": "auxAddress"}
    return {ours: found[theirs] for theirs, ours in names.items() if found.get(theirs)}


def update(_session: Session, _identity: str, _olds: Bag, _news: Bag) -> None:
    """Do nothing: every change replaces a network."""


def delete(session: Session, identity: str, _state: Bag) -> None:
    """Remove the network, once nothing is on it any more."""
    refusals: list[str] = []

    def removed() -> bool:
        try:
            session.api.remove_network(identity)
        except docker.errors.NotFound:
            return True
        except docker.errors.APIError as fault:
            if "has active endpoints" not in str(fault.explanation):
                raise
            refusals.append(str(fault.explanation))
            return False
        return True

    with daemons_words("Unable to remove network"):
        if not session.until(removed, session.patience):
            msg = f"Unable to remove network: Error response from daemon: {refusals[-1]}"
            raise PluginError(msg)
