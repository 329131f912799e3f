"""As whom the pods of a stack stand before the cluster's API: as a part of the stack that may ask it nothing."""

from __future__ import annotations

from keelson.containers.toolbox import NAME as TOOLBOX
from keelson.kubernetes import names
from keelson.settings.stack import StackSettings

WITHOUT_TOKEN = {"automountServiceAccountToken": False}


def parts(settings: StackSettings) -> list[str]:
    """Return the parts whose pods need an account of their own, so that none uses the namespace's `default`.

    A server of several instances is left out: its operator makes one of the same name.
    """
    several = {name for name in settings.servers if settings.instances_of(name) > 1}
    return [TOOLBOX, names.JOB, names.DRILL, *(name for name in settings.parts if name not in several)]
