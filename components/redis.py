"""A Redis of the stack."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi import ComponentResource, Output, ResourceOptions

from components.targets import Backups, Target
from keelson.redis.users import check_chosen
from keelson.settings.stack import Stack
from providers.redis_users import RedisUsers


class Redis(ComponentResource):
    """One Redis, a user for each service, and its backups.

    Makes what its target makes (on `local` Volume <name>-data and LocalDaemon <name>-process), RedisUsers <name>-users, and
    its target's backup job <name>-backup.
    """

    def __init__(self, name: str, stack: Stack, target: Target, opts: ResourceOptions | None = None) -> None:
        super().__init__("keelson:index:Redis", name, {}, opts)
        self._stack = stack
        self.running = running = target.redis(name, self)
        self.reference, self.volume, self.process = running.reference, running.volume, running.process
        self.port = running.port
        self.users = self._users(name, target.marks)
        self.backup = target.backup_job(Backups(name, self.reference, "redis", stack.backup_of(name)), self._beside())
        self.register_outputs({"port": self.port})

    def _users(self, name: str, marks: Mapping[str, Output[str]]) -> RedisUsers:
        settings = self._stack.settings.redis[name]
        passwords = {user: text.get_secret_value() for user, text in settings.passwords.items()}
        check_chosen(name, passwords, self._stack.databases)
        count = self._stack.settings.instances_of(name)
        inputs = {
            "reference": self.reference.as_input(),
            "services": list(self._stack.databases),
            "databases": sorted(settings.databases.values()),
            "passwords": Output.secret(passwords),
            **marks,
            **({"instances": count} if count > 1 else {}),
        }
        return RedisUsers(f"{name}-users", inputs, self._inside())

    def _beside(self) -> ResourceOptions:
        """Options of what does not live in it, and must be deleted by itself."""
        return ResourceOptions(parent=self, depends_on=[self.process])

    def _inside(self) -> ResourceOptions:
        return ResourceOptions(parent=self, depends_on=[self.process], deleted_with=self.volume)
