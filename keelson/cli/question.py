"""A question that somebody has to answer before something is done for good."""

from __future__ import annotations

from keelson.cli.output import say
from keelson.errors import PrivacyError


def ask(question: str, otherwise: str) -> str:
    """Return what is typed; raises PrivacyError, which says what is the case `otherwise`, where nobody answers."""
    try:
        return input(f"{question}: ").strip()
    except EOFError:
        say("")  # ends the line of the question
        msg = f"{otherwise}, as nobody answered; add --yes where nobody can be asked"
        raise PrivacyError(msg) from None
