"""The one module that asks the engine about a stack, by the pulumi command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from keelson import paths
from keelson.errors import EngineError
from keelson.killed import Lock, end_forsaken_providers, forget_empty_attributes, forget_half_written, locks
from keelson.project import Project
from keelson.settings.stack import PUBLISHED_PASSPHRASE

CHOSEN_ENGINE = Path(__file__).parents[1] / ".keelson" / "engine"  # a link to the directory of its programs
SECONDS_TO_CANCEL = 5.0  # that the engine has to end what it is at, after an interrupt
STACKS_WITH_PUBLISHED_PASSPHRASE = frozenset({"dev", "docker"})


# The engine knows --event-log, by which its own Automation API reads what happens, only with this.
_EVENTS = {"PULUMI_DEBUG_COMMANDS": "true"}


@dataclass(frozen=True)
class Engine:
    """The pulumi command for one stack of one project."""

    project: Project
    stack: str

    def exists(self) -> bool:
        """Say whether the backend knows the stack."""
        return self._state() is not None

    def resources(self) -> list[dict[str, Any]]:
        """Return the stack's resources as the state has them, secrets encrypted."""
        state = self._state() or {}
        return list((state.get("deployment") or {}).get("resources") or ())

    def prepare(self) -> None:
        """Make the stack in the backend where it is new, and clear what a killed run left.

        Raises:
            EngineError: somebody else works on the stack, or the engine refuses.
            SettingsError: the stack is new and its settings are wrong.
        """
        if self.release_stale_locks():
            end_forsaken_providers()
        elif self._kept_in_files():
            return
        state = self._state()
        if state is None:
            self.project.stack(self.stack)  # wrong settings are told before anything is made
            run(self.project, "stack", "init", self.stack, "--no-select", stack=self.stack)
        elif (state.get("deployment") or {}).get("pending_operations"):
            self._forget_pending_operations(state)

    def release_stale_locks(self) -> bool:
        """Remove the locks of processes of this machine that are gone, and say whether there were any.

        Raises:
            EngineError: somebody holds the stack.
        """
        half_written = self._forget_half_written()
        found = self.locks()
        for lock in found:
            if not lock.stale:
                who = f"{lock.user}@{lock.host}, process {lock.pid}, since {lock.since:%H:%M:%S}"
                msg = f"stack {self.stack} is held by {who}; wait until that ends, or end it and run the command again"
                raise EngineError(msg)
            lock.path.unlink(missing_ok=True)
        return half_written or bool(found)

    def locks(self) -> list[Lock]:
        """Return the locks of the file backend; other backends keep their own."""
        folder = self._lock_folder()
        return locks(folder) if folder else []

    def run(self, *arguments: str) -> int:
        """Run a pulumi command on the stack with this process's terminal; return its exit status.

        Raises:
            KeyboardInterrupt: it was interrupted, and the engine has ended.
        """
        return _run_to_its_end(self._command(*arguments), self._environment(), self.project)

    def preview(self, log: Path, *arguments: str) -> int:
        """Show on this process's terminal what an `up` would do, and write the engine's events to `log`."""
        command = self._command("preview", "--event-log", str(log), *arguments)
        return _run_to_its_end(command, self._environment() | _EVENTS, self.project)

    def preview_silently(self, log: Path, *arguments: str) -> str:
        """Write the events of a preview to `log`; return what the engine said, if that failed, else nothing."""
        command = self._command("preview", "--event-log", str(log), "--non-interactive", "--color=never", *arguments)
        done = subprocess.run(
            command,
            cwd=self.project.root,
            env=self._environment() | _EVENTS,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return "" if done.returncode == 0 else next(_sentences(done.stderr or done.stdout), "no reason given")

    def configure(self, path: str, value: str, file: Path | None = None) -> None:
        """Set a key of the stack file, or of a copy, where the rest stays as it is; raises EngineError where the engine refuses."""
        copy = ["--config-file", str(file)] if file else []
        run(self.project, "config", "set", "--path", path, value, "--stack", self.stack, *copy, stack=self.stack)

    def set_ledger(self, service: str, ledger: Mapping[str, str]) -> None:
        """Have the state say that a service's database has these migrations, {file: sha256}; nothing where it has none.

        Raises:
            EngineError: somebody else works on the stack, or the engine refuses.
        """
        state = self._state()
        for resource in ((state or {}).get("deployment") or {}).get("resources") or ():
            if resource["urn"].endswith(f"dynamic/keelson:Schema::{service}-schema"):
                resource["inputs"]["files"] = dict(ledger)
                resource["outputs"] |= {"files": dict(ledger), "ledger": dict(ledger)}
                self._import(state or {})

    def _import(self, state: Mapping[str, Any]) -> None:
        run(self.project, "stack", "import", "--stack", self.stack, stack=self.stack, given=json.dumps(state))

    def _command(self, *arguments: str) -> list[str]:
        return [str(find_engine()), *arguments, "--stack", self.stack]

    def _environment(self) -> dict[str, str]:
        return environment(self.project, self.stack)

    def _ask(self, *arguments: str) -> str:
        return run(self.project, *arguments, "--stack", self.stack, stack=self.stack)

    def _state(self) -> dict[str, Any] | None:
        """Return the stack's state, secrets encrypted; None where the backend does not know the stack."""
        try:
            return dict(json.loads(self._ask("stack", "export")))
        except EngineError as fault:
            if f"no stack named '{self.stack}' found" in str(fault):
                return None
            raise

    def _forget_pending_operations(self, state: dict[str, Any]) -> None:
        """Take out what a killed run was doing: every create recognises its own work and goes on from there."""
        del state["deployment"]["pending_operations"]
        self._import(state)

    def _kept_in_files(self) -> bool:
        """Say, without asking the engine, whether the stack lies in a file backend."""
        folder = self._file_backend()
        return folder is not None and (folder / "stacks" / self.project.name / f"{self.stack}.json").is_file()

    def _lock_folder(self) -> Path | None:
        folder = self._file_backend()
        return folder / "locks" / "organization" / self.project.name / self.stack if folder else None

    def _forget_half_written(self) -> bool:
        """Remove what a killed engine left half written in the file backend, and say whether there was any."""
        backend, folder = self._file_backend(), self._lock_folder()
        if backend is None or folder is None:
            return False
        found = [forget_empty_attributes(each) for each in (folder, backend / "stacks" / self.project.name)]
        return any([forget_half_written(folder), *found])

    def _file_backend(self) -> Path | None:
        backend = environment(self.project, self.stack).get("PULUMI_BACKEND_URL") or self.project.backend or ""
        address = urlsplit(backend)
        return Path(unquote(address.path)).expanduser() / ".pulumi" if address.scheme == "file" else None


def selected_stack(project: Project) -> str:
    """Return the stack that is selected, else dev; raises EngineError where the engine is missing."""
    command = [str(find_engine()), "stack", "--show-name"]
    done = subprocess.run(
        command, cwd=project.root, env=environment(project), check=False, capture_output=True, text=True
    )
    return done.stdout.strip().rsplit("/", 1)[-1] if done.returncode == 0 else "dev"


def run(project: Project, *arguments: str, stack: str | None = None, given: str = "") -> str:
    """Run a pulumi command and return its standard output; raises EngineError with what it said."""
    command = [str(find_engine()), *arguments, "--non-interactive"]
    done = subprocess.run(
        command,
        cwd=project.root,
        env=environment(project, stack),
        input=given,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        _refuse(arguments, done.stderr or done.stdout)
    return done.stdout


def _run_to_its_end(command: list[str], variables: dict[str, str], project: Project) -> int:
    """Run a command of the engine; an interrupt ends it as it ends by itself, and is raised when it has ended.

    The engine takes one interrupt as a wish to end when the steps that run are done, and a second one as an order. It gets
    the second one after a while: a migration that is cut off is rolled back, and every other step goes on from what is there.
    """
    with subprocess.Popen(command, cwd=project.root, env=variables) as engine:
        try:
            return engine.wait()
        except KeyboardInterrupt:
            if not _shares_terminal():
                engine.send_signal(signal.SIGINT)
            _await_cancelled(engine)
            raise


def _await_cancelled(engine: subprocess.Popen[bytes]) -> None:
    for last in (signal.SIGINT, signal.SIGKILL):
        try:
            engine.wait(SECONDS_TO_CANCEL)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            engine.send_signal(last)
        else:
            return
    engine.wait()


def _shares_terminal() -> bool:
    """Say whether the terminal that interrupts this process interrupts its children too."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def find_engine() -> Path:
    """Return the pulumi command: the one that set-up chose for this checkout, else the one on PATH."""
    if found := shutil.which("pulumi", path=CHOSEN_ENGINE) or shutil.which("pulumi"):
        return Path(found)
    msg = "the Pulumi engine is missing; run `make setup`"
    raise EngineError(msg)


def environment(project: Project, stack: str | None = None) -> dict[str, str]:
    """Return the environment of a pulumi command: a file backend where none is set, and the published passphrase."""
    values = dict(os.environ)
    values["PATH"] = os.pathsep.join([str(find_engine().parent), values.get("PATH", "")])
    values.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    values.setdefault("PULUMI_PARALLEL_DIFF", "true")  # else the engine asks providers one resource after the other
    if not _backend_is_set(project, values):
        folder = paths.private_directory(paths.state() / "pulumi")
        values["PULUMI_BACKEND_URL"] = f"file://{folder}"
    published = stack is None or stack in STACKS_WITH_PUBLISHED_PASSPHRASE
    if published and not values.keys() & {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"}:
        values["PULUMI_CONFIG_PASSPHRASE"] = PUBLISHED_PASSPHRASE
    return values


def _backend_is_set(project: Project, values: dict[str, str]) -> bool:
    if values.get("PULUMI_BACKEND_URL") or values.get("PULUMI_ACCESS_TOKEN") or project.backend:
        return True
    home = Path(values.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        return bool(json.loads((home / "credentials.json").read_text(encoding="utf-8")).get("current"))
    except (OSError, ValueError):
        return False


def _refuse(arguments: Iterable[str], said: str) -> NoReturn:
    first = next(_sentences(said), "no reason given")
    msg = f"pulumi {' '.join(arguments)}: {first}"
    raise EngineError(msg)


def _sentences(said: str) -> Iterator[str]:
    return (line.removeprefix("error: ").strip() for line in said.splitlines() if line.strip())
