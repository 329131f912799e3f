"""What an `up` would do, as a document: read from the engine's events, opened to nothing, written as Markdown or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelson.lazily import exports

if TYPE_CHECKING:
    from keelson.preview.document import Document, document_of, failed_document
    from keelson.preview.events import Events, read_events
    from keelson.preview.writing import markdown

__all__ = ["Document", "Events", "document_of", "failed_document", "markdown", "read_events"]

__getattr__ = exports(
    __name__,
    {
        "document": ("Document", "document_of", "failed_document"),
        "events": ("Events", "read_events"),
        "writing": ("markdown",),
    },
)
