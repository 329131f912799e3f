"""What an application's Secret is made of."""

from __future__ import annotations

from keelson.redis.users import user_of
from keelson.rotation import in_use
from keelson.settings.client_certificates import of_service
from keelson.settings.stack import Stack, StackSettings


def uses(settings: StackSettings, service: str) -> dict[str, str]:
    """Return the passwords in it that the user chose, so that another one is a change of the Secret."""
    login, user = in_use(service, settings.generation_of(service)).app, user_of(service)
    of_redis = {name: redis.passwords[user] for name, redis in settings.redis.items() if user in redis.passwords}
    chosen = of_redis | ({login: settings.passwords[login]} if login in settings.passwords else {})
    return {name: text.get_secret_value() for name, text in chosen.items()}


def logs_in_as(settings: StackSettings, service: str) -> dict[str, str]:
    """Return the input that names the login, for a service that was rotated."""
    return {"login": in_use(service, settings.generation_of(service)).app} if service in settings.rotation else {}


def shows(stack: Stack, service: str) -> dict[str, bool]:
    """Return the input that says that the login shows a certificate, where the service asks for one."""
    login = in_use(service, stack.settings.generation_of(service)).app
    return {"certified": True} if login in of_service(service, stack.databases[service]) else {}
