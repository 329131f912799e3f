"""The files of a rendering: one for each object, the list of them for kustomize, and what a reader must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import dedent

from keelson.kubernetes import rendering
from keelson.kubernetes.manifests import Rendering
from keelson.kubernetes.yaml_text import text_of

LIST, README = "kustomization.yaml", "README.md"


def mark(key: str) -> str:
    """Return what the first line of each file of a stack has."""
    return f"Written by `keelson render` for stack {key}:"


def files_of(found: Rendering, stack: str, key: str) -> Mapping[str, str]:
    """Return the text of each file by its name.

    Args:
        found: the stack's objects, and what else it is made of.
        stack: how commands name the stack.
        key: its key.
    """
    head = f"# {mark(key)} edit the settings, and run it again.\n"
    objects = {rendering.file_of(each): head + text_of(each) for each in found.manifests}
    listed = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [*objects]}
    return {**objects, LIST: head + text_of(listed), README: "\n".join(_readme(found, stack, key))}


def _readme(found: Rendering, stack: str, key: str) -> Iterator[str]:
    yield f"<!-- {mark(key)} edit the settings, and run it again. -->"
    yield (
        dedent(f"""
        # Stack {stack}, as plain objects

        `{LIST}` lists them: `kubectl apply --server-side -k .`, or an Application of Argo CD or a Kustomization of Flux with this folder.
        Each bears its digest in the annotation `{rendering.RENDERING}`, by which `keelson up` sees whether the cluster runs this rendering.

        ## What is not here

        `keelson up -s {stack}` makes the following, once the objects above are in the cluster; passwords and certificates never lie in a file.

        | | |
        |---|---|""")
        .lstrip("\n")
        .rstrip()
    )
    for rest in found.rest:
        yield f"| {rest.what} | {', '.join(f'`{name}`' for name in rest.names)} |"
    yield ""
