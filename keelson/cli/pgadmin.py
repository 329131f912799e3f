"""Say where pgAdmin is and how to log in, or open it."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from keelson.cli.context import context
from keelson.cli.forward import hold
from keelson.cli.options import JsonOption, StackOption
from keelson.cli.output import note, print_json, print_table
from keelson.errors import SettingsError
from keelson.target import target

NAME, LOGIN = "pgadmin", "admin"
HEADINGS = {"url": "ADDRESS", "login": "LOGIN", "email": "E-MAIL", "password": "PASSWORD"}


def pgadmin(
    stack: StackOption = None,
    *,
    opened: Annotated[bool, typer.Option("--open", help="Open it in this user's browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print pgAdmin's address, e-mail and password; where it has neither a public name nor a port of its own, keep one open until Ctrl-C.

    Example: keelson pgadmin --open
    """
    chosen = context(stack).stack
    if not chosen.settings.pgadmin.enabled:
        msg = f"stack {chosen.name} has no pgAdmin; set keelson:pgadmin.enabled to true and run `keelson up`"
        raise SettingsError(msg)
    settings, place = chosen.settings.pgadmin, target(chosen.settings.place)
    address = None if settings.url else place.locate(chosen.key, NAME)
    login = {"url": f"http://{address.host}:{address.port}/" if address else settings.url}
    if settings.oidc:
        login["login"] = settings.oidc.name
    if settings.oidc is None or settings.oidc.local_login:
        login |= {"email": settings.email, "password": place.password(chosen.key, NAME, LOGIN)}
    if as_json:
        print_json(login)
    else:
        print_table([HEADINGS[name] for name in login], [tuple(login.values())])
    if opened and not webbrowser.open(login["url"]):
        note("no browser could be opened here; open the address yourself")
    if address:
        hold(address)
