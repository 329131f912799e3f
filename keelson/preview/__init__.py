"""What an `up` would do, as a document: read from the engine's events, opened to nothing, written as Markdown or JSON."""

from keelson.preview.document import Document, document_of, failed_document
from keelson.preview.events import Events, read_events
from keelson.preview.markdown import markdown

__all__ = ["Document", "Events", "document_of", "failed_document", "markdown", "read_events"]
