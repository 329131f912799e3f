"""What an application's Secret is made of."""

from __future__ import annotations

from keelson.postgres.names import RoleNames
from keelson.redis.users import user_of
from keelson.settings.stack import StackSettings


def uses(settings: StackSettings, service: str) -> dict[str, str]:
    """Return the passwords in it that the user chose, so that another one is a change of the Secret."""
    login, user = RoleNames(service).app_a, user_of(service)
    of_redis = {name: redis.passwords[user] for name, redis in settings.redis.items() if user in redis.passwords}
    chosen = of_redis | ({login: settings.passwords[login]} if login in settings.passwords else {})
    return {name: text.get_secret_value() for name, text in chosen.items()}
