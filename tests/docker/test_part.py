"""What is the same for all parts in containers: ports, passwords, files, and the resources around the engine's container."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import pytest
from docker.errors import NotFound
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.output import Unknown

from keelson.docker import daemon, images, names, part
from keelson.docker.part import DockerSpec
from keelson.errors import KeelsonError, PlatformError, PortInUseError
from providers.docker_part import DockerFilesProvider, DockerPartImageProvider, DockerPartProvider
from tests.docker.ground import Ground, ground
from tests.local.conftest import free_port


@pytest.fixture(scope="module")
def on(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with ground(docker_host) as made:
            images.build(made.client, ["postgres"], lambda *_: None)
            yield made


@pytest.fixture
def spec(on: Ground, request: pytest.FixtureRequest) -> DockerSpec:
    name = f"p{abs(hash(request.node.name)) % 10**6}"
    for volume in (names.data_volume(on.key, name), names.config_volume(on.key, name)):
        on.client.volumes.create(volume, labels=names.labels(on.key, name))
    return replace(on.spec(name, "server", "postgres", version="17", parameters={}), preferred_port=free_port())


def test_a_port_that_somebody_has_is_not_taken_and_the_user_is_told(spec: DockerSpec) -> None:
    wanted = spec.preferred_port
    with closing(socket.create_server(("127.0.0.1", wanted))):
        ground_of_it = part.take_ground(spec)
        assert ground_of_it.port > wanted
        assert ground_of_it.notes[0].startswith(f"port {wanted} is in use by ")
        assert ground_of_it.notes[0].endswith(f"taking {ground_of_it.port}")
        with pytest.raises(PortInUseError, match=f"port {wanted} is in use by "):
            part.take_ground(replace(spec, port=wanted))
    assert part.take_ground(replace(spec, published=False)).port == 0


def test_a_port_of_another_part_is_kept_for_it_while_that_is_down(on: Ground, spec: DockerSpec) -> None:
    wanted = spec.preferred_port
    stopped = on.client.containers.create(
        images.reference_of("postgres"),
        name=names.container(on.key, "sleeper"),
        labels=names.labels(on.key, "sleeper"),
        ports={"5432/tcp": ("127.0.0.1", wanted)},
        network=names.network(on.key),
    )
    try:
        found = part.take_ground(spec)
        assert found.notes == (f"port {wanted} is kept for sleeper of stack {on.key}; taking {found.port}",)
        with pytest.raises(PortInUseError, match=f"is kept for sleeper of stack {on.key}; stop that"):
            part.take_ground(replace(spec, port=wanted))
    finally:
        stopped.remove(v=True)


def test_a_container_that_goes_while_ports_are_compared_has_none(
    on: Ground, spec: DockerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, labels = names.container(on.key, "leaver"), names.labels(on.key, "leaver")
    leaver = on.client.containers.create(images.reference_of("postgres"), name=name, labels=labels)
    api = daemon.connect(spec.place).api
    listed = api.containers

    def list_and_remove(**options: Any) -> Any:
        found = listed(**options)
        with contextlib.suppress(NotFound):
            leaver.remove(v=True)
        return found

    monkeypatch.setattr(api, "containers", list_and_remove)
    assert part.take_ground(spec).port
    assert leaver.id not in {each["Id"] for each in listed(all=True)}


def test_an_image_that_cannot_be_had_is_one_sentence(spec: DockerSpec) -> None:
    with pytest.raises(PlatformError, match=r"127\.0\.0\.1:1/nothing:1 could not be pulled"):
        part.take_ground(replace(spec, image="127.0.0.1:1/nothing:1"))


def test_what_stands_in_the_state_does_not_tell_a_short_password(spec: DockerSpec) -> None:
    image = part.take_ground(spec).image_id
    first = part.write_files(spec, image, {"postgres": "1234"})
    assert part.write_files(spec, image, {"postgres": "1234"}) == first
    assert part.write_files(spec, image, {"postgres": "4321"}) != first
    assert part.write_files(spec, image, {"postgres": "1234"}) != first


def test_an_up_that_changes_nothing_is_none_and_an_edit_never_replaces(on: Ground, spec: DockerSpec) -> None:
    image, files, process = DockerPartImageProvider(), DockerFilesProvider(), DockerPartProvider()
    inputs = asdict(spec) | {"port": 0, "avoid_ports": []}
    of_image = image.create(inputs).outs
    file_inputs = inputs | {"image_id": of_image["image_id"], "passwords": {}}
    of_files = files.create(file_inputs).outs
    on.up(replace(spec, port=of_image["published_port"]))
    process_inputs = inputs | {"container": on.container(spec.name).id, "digest": of_files["digest"]}
    of_process = process.create(process_inputs)
    assert (of_process.id, of_process.outs["listens_on"]) == (f"{spec.key}/{spec.name}", of_image["published_port"])

    assert not image.diff("", of_image, inputs).changes
    assert not files.diff("", of_files, file_inputs).changes
    assert not process.diff("", of_process.outs, process_inputs).changes
    assert image.read("i", of_image).outs == of_image
    assert files.read("f", of_files).outs == of_files
    assert process.read("p", of_process.outs).outs == of_process.outs

    edit = {"settings": {"version": "17", "parameters": {"work_mem": "9MB"}}}
    assert not image.diff("", of_image, inputs | edit).changes
    assert files.diff("", of_files, file_inputs | edit).changes
    assert process.diff("", of_process.outs, process_inputs | edit | {"digest": Unknown()}).changes
    assert not image.diff("", of_image, inputs | {"preferred_port": 1, "port": of_image["published_port"]}).changes
    assert image.diff("", of_image, inputs | {"port": 1}).changes
    assert image.diff("", of_image, inputs | {"image": "another"}).changes
    updated = files.update("", of_files, file_inputs | edit).outs
    assert updated["digest"] != of_files["digest"]
    assert process.update("", of_process.outs, process_inputs | edit | {"digest": updated["digest"]}).outs

    assert part.take_ground(spec).port == of_image["published_port"], "the container keeps its port"
    on.container(spec.name).remove(force=True, v=True)
    assert process.read("p", of_process.outs).id == ""
    files.delete("", updated)
    assert spec.name not in on.ask("records")["servers"]
    with pytest.raises(KeelsonError, match="no password for postgres"):
        on.ask("password", server=spec.name, role="postgres")


def test_passwords_of_data_that_stay_are_kept_and_a_stack_that_is_gone_needs_no_forgetting(
    on: Ground, spec: DockerSpec
) -> None:
    staying = replace(spec, data_stays=True)
    part.write_files(staying, part.take_ground(staying).image_id, {})
    part.forget(staying)
    assert on.ask("password", server=spec.name, role="postgres")
    part.forget(replace(spec, key="no-such-stack"))


def test_names_that_may_not_change_and_wrong_settings_are_refused_in_a_preview(spec: DockerSpec) -> None:
    files, olds = DockerFilesProvider(), asdict(spec) | {"port": 0, "place": "docker@tcp://127.0.0.1:1"}
    said = files.check(olds, olds | {"place": "docker"}).failures[0].reason
    assert said.startswith("place cannot change from 'docker@tcp://127.0.0.1:1' to 'docker'; volumes do not move")
    said = files.check(olds, olds | {"settings": {"parameters": {"ssl": "off"}}}).failures[0].reason
    assert said.startswith(f"server {spec.name}: the parameter ssl cannot be set")
    assert files.check({}, olds | {"stack_id": Unknown(), "image_id": Unknown()}).failures == []


@pytest.mark.parametrize("provider", [DockerPartImageProvider, DockerFilesProvider, DockerPartProvider])
def test_a_provider_is_pickled_by_reference(provider: Any) -> None:
    assert len(serialize_provider(provider())) < 200
