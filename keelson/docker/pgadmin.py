"""What Docker has to do around pgAdmin's container; what is in it stands in `keelson.containers.pgadmin`."""

from __future__ import annotations

from importlib import resources

from keelson.containers import pgadmin
from keelson.containers.pgadmin import COPY, SET_PASSWORD, follows
from keelson.docker import answers
from keelson.docker.part import DockerSpec
from keelson.errors import ServerError

LAUNCH_SECONDS = 5.0  # until its process must be there; nobody waits for its pages


class PgAdminKind(pgadmin.PgAdminKind):
    """See `keelson.docker.part.Kind` for what each method is for."""

    def before(self, spec: DockerSpec, image_id: str) -> tuple[str, ...]:  # noqa: ARG002 - the interface of a kind
        """Do nothing: pgAdmin brings its store up to date by itself."""
        return ()

    def bring(self, spec: DockerSpec) -> tuple[str, ...]:
        """See that its process is there; its pages may come later. Replace the official image's copy of the passwords."""
        answers.wait(
            spec, lambda: "" if answers.container(spec).status == "running" else "it does not run", LAUNCH_SECONDS
        )
        return () if follows(spec) else _set_passwords(spec)


def _set_passwords(spec: DockerSpec) -> tuple[str, ...]:
    """Give the official image, which takes passwords at its first start, those of now."""
    found, email = answers.container(spec), str(spec.settings["email"])
    program = resources.files(__package__).joinpath("pgadmin_login.py").read_text(encoding="utf-8")
    try:
        answers.run(found, "sh", "-c", COPY, "copy", email.replace("@", "_"))
        answers.run(found, "sh", "-c", SET_PASSWORD, "login", program, email)
    except ServerError as fault:
        return (
            f"pgAdmin did not take its passwords ({fault}); run `keelson restart pgadmin`, then `keelson up -- --refresh`",
        )
    return ()
