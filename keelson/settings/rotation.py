"""How often the logins of services are rotated, and how long the ones of before work beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from keelson.rotation import FIRST

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings

Generation = Annotated[int, Field(ge=FIRST)]
Days = Annotated[int, Field(ge=1, le=3650)]
Hours = Annotated[int, Field(ge=0, le=24 * 365)]
OVERLAP = 24  # hours


def faults(settings: StackSettings, databases: Collection[str]) -> Iterator[str]:
    """Give a sentence for each service that the stack does not have, and for an overlap that would not be over by the next time."""
    days, hours = settings.rotate_after, settings.rotate_overlap
    if days is not None and hours >= days * 24:
        yield f"'keelson:rotate_overlap' is {hours} hours, and 'keelson:rotate_after' comes round every {days * 24}; make it less"
    for name in settings.rotation:
        if name not in databases:
            yield f"the setting 'keelson:rotation.{name}' names no service of the stack; take it out"
