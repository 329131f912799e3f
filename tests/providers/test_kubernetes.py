"""What a preview refuses of a stack in a cluster, in the real provider process and without any cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from providers.base import Provider
from providers.kubernetes_application import KubernetesApplicationProvider
from providers.kubernetes_part import KubernetesFilesProvider, KubernetesPartProvider
from providers.kubernetes_passwords import KubernetesPasswordsProvider
from providers.kubernetes_stack import KubernetesGroundProvider, KubernetesVolumeProvider
from tests.providers.process import ProviderProcess
from tests.stack.harness import CHECKOUT

PLACE = {"place": "kubernetes:platform", "key": "keelson-prod"}
VOLUME = PLACE | {"name": "main", "claim": "main-data", "size": "10Gi", "storage_class": ""}
GROUND = PLACE | {"keeps": True}
PART = PLACE | {
    "stack_id": "0123456789ab",
    "name": "main",
    "kind": "server",
    "image": "postgres:17.11",
    "uid": 999,
    "gid": 999,
    "settings": {"timescaledb": False, "parameters": {"work_mem": "4MB"}, "version": "17"},
    "data_stays": True,
}
APPLICATION = PLACE | {"namespace": "shop", "service": "auth", "server": "main", "redis": {}, "usual_redis": ""}
KNOWN = {"certificate": {"of": "main", "ends": "2100-12-31T00:00:00+00:00", "renewal": "2100-05-01T00:00:00+00:00"}}
EVERYTHING = [
    (KubernetesGroundProvider(), GROUND),
    (KubernetesVolumeProvider(), VOLUME),
    (KubernetesFilesProvider(), PART | {"mark": "m", "passwords": {}}),
    (KubernetesPartProvider(), PART | {"workload": "w", "digest": "d"}),
    (KubernetesApplicationProvider(), APPLICATION | {"mark": "m"}),
    (KubernetesPasswordsProvider(), PLACE | {"logins": {"auth_app_a": ["main"]}, "remote": {}, "mark": "m"}),
]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    """The process, for which there is no cluster."""
    folder = tmp_path_factory.mktemp("nowhere")
    variables = {**os.environ, "KUBECONFIG": str(folder / "missing"), "HOME": str(folder)}
    with ProviderProcess(folder, {**variables, "PYTHONPATH": str(CHECKOUT)}) as process:
        yield process


@pytest.mark.parametrize("wanted", ["10239Mi", "9Gi"])
def test_a_volume_that_would_shrink_is_refused_by_a_preview(provider: ProviderProcess, wanted: str) -> None:
    _, failures = provider.check(KubernetesVolumeProvider(), VOLUME, VOLUME | {"size": wanted})
    assert failures == [
        f"the volume of main holds 10Gi and cannot shrink to {wanted}; keep 10Gi, or restore a backup into another server"
    ]


@pytest.mark.parametrize("wanted", ["10Gi", "10240Mi", "11Gi", "1Ti"])
def test_a_volume_that_grows_or_stays_is_taken(provider: ProviderProcess, wanted: str) -> None:
    inputs, failures = provider.check(KubernetesVolumeProvider(), VOLUME, VOLUME | {"size": wanted})
    assert (inputs["size"], failures) == (wanted, [])


def test_a_volume_that_grows_is_updated_and_never_replaced(provider: ProviderProcess) -> None:
    kind = KubernetesVolumeProvider()
    assert provider.diff(kind, "keelson-prod/main-data", VOLUME, VOLUME | {"size": "20Gi"})
    assert not provider.diff(kind, "keelson-prod/main-data", VOLUME, VOLUME)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"claim": "other-data"}, "claim cannot change from 'main-data' to 'other-data'; a volume keeps its name"),
        ({"storage_class": "fast"}, "storage_class cannot change from '' to 'fast'; a volume keeps its class"),
    ],
)
def test_what_would_make_another_volume_is_refused(
    provider: ProviderProcess, change: dict[str, Any], sentence: str
) -> None:
    _, failures = provider.check(KubernetesVolumeProvider(), VOLUME, VOLUME | change)
    assert len(failures) == 1
    assert failures[0].startswith(sentence)


@pytest.mark.parametrize(("kind", "given"), EVERYTHING)
@pytest.mark.parametrize("place", ["kubernetes:other", "kubernetes:platform@elsewhere"])
def test_a_stack_does_not_move_to_another_namespace_or_cluster(
    provider: ProviderProcess, kind: Provider, given: dict[str, Any], place: str
) -> None:
    _, failures = provider.check(kind, given, given | {"place": place})
    assert len(failures) == 1
    assert failures[0].startswith(f"place cannot change from 'kubernetes:platform' to '{place}'; ")
    assert "restore into it" in failures[0]


@pytest.mark.parametrize(("kind", "given"), EVERYTHING)
def test_a_preview_of_the_same_says_nothing_and_asks_no_cluster(
    provider: ProviderProcess, kind: Provider, given: dict[str, Any]
) -> None:
    assert provider.check(kind, {}, given)[1] == []
    assert provider.check(kind, given, given) == (given, [])
    assert not provider.diff(kind, "keelson-prod", given | KNOWN, given)


@pytest.mark.parametrize(
    ("kind", "given", "change"),
    [
        (KubernetesGroundProvider(), GROUND, {"keeps": False}),
        (KubernetesFilesProvider(), PART | {"mark": "m"}, {"mark": "another"}),
        (KubernetesFilesProvider(), PART | {"mark": "m"}, {"settings": {**PART["settings"], "version": "18"}}),
        (KubernetesFilesProvider(), PART | {"passwords": {}}, {"passwords": {"postgres": "chosen"}}),
        (KubernetesPartProvider(), PART | {"workload": "w"}, {"workload": "another"}),
        (KubernetesApplicationProvider(), APPLICATION, {"server": "second"}),
    ],
)
def test_an_edit_is_an_update_and_never_a_replacement(
    provider: ProviderProcess, kind: Provider, given: dict[str, Any], change: dict[str, Any]
) -> None:
    assert provider.check(kind, given, given | change)[1] == []
    assert provider.diff(kind, "keelson-prod", given | KNOWN, given | change)


def test_a_parameter_that_is_the_platforms_own_is_refused(provider: ProviderProcess) -> None:
    settings = {**PART["settings"], "parameters": {"ssl": "off"}}
    _, failures = provider.check(KubernetesFilesProvider(), PART, PART | {"settings": settings})
    assert len(failures) == 1
    assert "ssl" in failures[0]


def test_without_a_cluster_an_up_says_which_kubeconfig_is_missing(provider: ProviderProcess) -> None:
    with pytest.raises(grpc.RpcError) as fault:
        provider.create(KubernetesGroundProvider(), GROUND)
    assert "kubeconfig" in fault.value.details()
    assert "Traceback" not in fault.value.details()
