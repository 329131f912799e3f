"""Workloads that a GitOps tool applies, on Pulumi's mocks: the same objects, looked for in place of made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keelson.errors import SettingsError
from keelson.kubernetes import rendering
from providers import values
from providers.kubernetes_stack import KubernetesGroundProvider
from tests.components.test_kubernetes import VARIED, Json, Made, make, read, write_project


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """The stack with every setting, by whose its workloads are."""
    root = write_project(tmp_path_factory.mktemp("project"))
    kubernetes = VARIED["kubernetes"]
    return {
        mode: make(read(root, "varied_stack", VARIED | {"kubernetes": kubernetes | {"workloads": mode}}))
        for mode in ("pulumi", "handover", "gitops")
    }


def by_file(manifests: list[Json]) -> dict[str, str]:
    return {rendering.file_of(each): json.dumps(rendering.bare(each), sort_keys=True) for each in manifests}


def applied(made: Made) -> list[Json]:
    return [values.plain(each["manifest"]) for each in made.inputs.values() if "manifest" in each]


def test_each_object_is_looked_for_where_another_tool_applies_it(modes: dict[str, Made]) -> None:
    assert by_file(applied(modes["gitops"])) == by_file(modes["pulumi"].manifests)
    assert len(by_file(modes["pulumi"].manifests)) == len(modes["pulumi"].manifests)


def test_then_the_plugin_is_not_even_asked_for(modes: dict[str, Made]) -> None:
    found = {each.type for each in modes["gitops"].options.values()}
    assert not {kind for kind in found if kind.startswith(("kubernetes:", "pulumi:providers:kubernetes"))}


def test_what_stands_on_an_object_waits_for_it_whoever_applies_it(modes: dict[str, Made]) -> None:
    pulumi, gitops = modes["pulumi"], modes["gitops"]
    for database, on in (("auth_service", "main"), ("ticks", "time-scale")):
        kind = "dynamic/keelson:Database"
        assert gitops.urn_of(f"statefulset-{on}") in gitops.waits_for(gitops.urn_of(database, kind))
        assert pulumi.urn_of(on, ":StatefulSet") in pulumi.waits_for(pulumi.urn_of(database, kind))


def test_what_the_engine_made_is_left_standing_when_it_was_handed_over(modes: dict[str, Made]) -> None:
    def left(made: Made) -> set[bool]:
        return {each.retainOnDelete for each in made.options.values() if each.type.startswith("kubernetes:")}

    assert (left(modes["pulumi"]), left(modes["handover"])) == ({False}, {True})


def test_volumes_of_another_tool_keep_their_data_and_so_the_stack_its_state(modes: dict[str, Made]) -> None:
    kept = {mode: made.inputs["varied_stack-ground"]["keeps"] for mode, made in modes.items()}
    assert kept == {"pulumi": False, "handover": False, "gitops": True}
    assert modes["gitops"].inputs["main-files"]["data_stays"] is True
    assert {mode: made.inputs["main-data"].get("workloads") for mode, made in modes.items()} == {
        "pulumi": None,
        "handover": "handover",
        "gitops": "gitops",
    }


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ({"keeps": False}, {"workloads": "gitops"}, True),
        ({"keeps": False}, {"workloads": "handover"}, False),
        ({"workloads": "handover"}, {"workloads": "gitops"}, False),
        ({"workloads": "gitops"}, {}, False),
        ({}, {"workloads": "gitops"}, False),
    ],
)
def test_a_stack_is_not_handed_over_before_its_objects_outlive_that(
    before: Json, after: Json, *, refused: bool
) -> None:
    def examine() -> Any:
        return KubernetesGroundProvider().examine(after, before)

    if refused:
        with pytest.raises(SettingsError, match="write 'handover', run `keelson up`, and write 'gitops' then"):
            examine()
    else:
        assert examine() == after
