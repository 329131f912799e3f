"""All commands, put together; each is imported when it is called."""

from __future__ import annotations

from keelson.cli.lazy import Group, assemble

MIGRATE = Group(
    "Migrations: what is applied, what is pending, a new file.",
    {
        "status": "migrate:status",
        "up": "migrate:up",
        "new": "migrate_new:new",
        "import": "migrate_adopt:import_",
        "baseline": "migrate_adopt:baseline_command",
        "lint": "migrate_lint:lint_command",
        "drift": "migrate_drift:drift",
        "verify": "migrate_verify:verify_command",
        "down": "migrate_repair:down",
        "repair": "migrate_repair:repair_command",
    },
)
BACKUP = Group(
    "Backups: make one now, list, verify, drill, prune.",
    {
        "run": "backup:run",
        "list": "backup:list_",
        "verify": "backup:verify",
        "drill": "backup_drill:drill",
        "history": "backup_history:history_",
        "prune": "backup:prune",
        "pin": "backup_pin:pin",
        "unpin": "backup_pin:unpin",
        "export": "backup_export:export",
        "key": "backup_key:key",
    },
)
PRIVACY = Group(
    "A person's rows in all databases: a copy of them, their erasure.",
    {
        "export": "privacy:export_command",
        "erase": "privacy:erase_command",
        "again": "privacy:again",
        "check": "privacy:check",
    },
)
COMMANDS = Group(
    "A database for every service, the same in every environment.",
    {
        "up": "lifecycle:up",
        "destroy": "lifecycle:destroy",
        "preview": "preview:preview",
        "render": "render:render",
        "status": "status:status",
        "report": "report:report",
        "doctor": "doctor:doctor",
        "harden": "harden:harden",
        "psql": "connect:psql",
        "redis-cli": "connect:redis_cli",
        "url": "connect:url",
        "env": "connect:env",
        "pgadmin": "pgadmin:pgadmin",
        "forward": "forward:forward",
        "restore": "restore:restore",
        "rotate": "rotate:rotate",
        "logs": "logs:logs",
        "start": "process:start",
        "stop": "process:stop",
        "restart": "process:restart",
        "switchover": "switchover:switchover",
        "docs": "docs:docs",
        "migrate": MIGRATE,
        "backup": BACKUP,
        "privacy": PRIVACY,
        "audit": Group(
            "The audit trail of a database: who changed which row.",
            {"head": "audit:head", "verify": "audit:verify", "export": "audit:export"},
        ),
        "service": Group("Services of the product.", {"add": "service:add"}),
        "cache": Group(
            "What all checkouts share: engine, private root, pgAdmin.", {"list": "cache:show", "prune": "cache:prune"}
        ),
        "images": Group("Images made here, in place of the official ones.", {"build": "images:build"}),
    },
)

application = assemble(COMMANDS, completion=True)
