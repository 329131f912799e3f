"""pgAdmin behind gunicorn, run as a script by pgAdmin's own Python: `python -I serve.py KEY PORT DIRECTORY [protected]`.

One worker with threads. It makes pgAdmin's store, brings it to what the stack's registry says, and follows the registry while
it serves: nobody is logged out by an `up`, a restarted server or a new password of a service. In a container, `serve.py
mounted` takes all of that from variables and mounted files, see `keelson.pgadmin.mounted`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import secrets
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

PACKAGES = str(Path(__file__).resolve().parents[2])
sys.path.append(PACKAGES)  # behind pgAdmin's own libraries

from gunicorn.app.base import BaseApplication  # noqa: E402

from keelson import paths  # noqa: E402
from keelson.errors import KeelsonError, PlatformError  # noqa: E402
from keelson.pgadmin import configuration, damage, sign_on  # noqa: E402
from keelson.pgadmin.wanted import LOOPBACK, Source  # noqa: E402

THREADS = 25  # an open query tool keeps one busy
LOADING = 120  # seconds that a worker may take to load pgAdmin on a busy machine
STOPPING = 2  # seconds for what is under way when it stops
FOLLOWING = 1.0  # seconds between two looks at the source
PR_SET_PDEATHSIG = 1  # linux/prctl.h
NO_RESTART = 4  # gunicorn's exit status for an application that does not load: its master ends too


@dataclass(frozen=True)
class Options:
    """What the command line says; `chosen` are values of pgAdmin's configuration that go before ours."""

    source: Source
    key: str
    port: int
    directory: Path
    protected: bool = False
    host: str = LOOPBACK
    chosen: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, argv: list[str]) -> Options:
        """Return the words of the command line as values."""
        if argv == ["mounted"]:
            return cls.of_container()
        from keelson.pgadmin.stack import StackSource  # noqa: PLC0415 - not in a container

        key, port, directory, *more = argv
        return cls(StackSource(key), key, int(port), Path(directory), protected="protected" in more)

    @classmethod
    def of_container(cls) -> Options:
        """Return what the container's variables say."""
        from keelson.pgadmin import mounted  # noqa: PLC0415 - in a container only

        source = mounted.MountedSource(dict(os.environ))
        source.read()
        host, port = source.address()
        return cls(source, "container", port, mounted.DIRECTORY, host=host, chosen=source.configuration())


class Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """What gunicorn runs."""

    def __init__(self, options: Options) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up: one address, one worker, nothing outside the directory."""
        settings = {
            "bind": f"{self._options.host}:{self._options.port}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": LOADING,
            "graceful_timeout": STOPPING,
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108 - gunicorn's heartbeat
            "loglevel": "warning",
            "post_fork": die_with_master,
            "worker_int": lambda _: os._exit(0),  # else it waits for threads of open pages
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - pgAdmin has no types
        """Return pgAdmin's application, in the worker."""
        try:
            return load(self._options)
        except KeelsonError as fault:
            give_up(str(fault))
        except OSError as fault:
            give_up(
                f"pgAdmin cannot use {fault.filename}: {fault.strerror}; make room or give access and start it again"
            )


def load(options: Options) -> Any:  # noqa: ANN401
    """Make or repair the store, import pgAdmin, set login and list, and begin to follow the registry."""
    os.umask(0o077)
    warnings.simplefilter("ignore")  # of its libraries, about its own migrations
    seen = options.source.fingerprint()
    first = options.source.read()
    if kept := damage.set_aside(options.directory / configuration.STORE):
        say(
            f"pgAdmin's store could not be read and was moved to {kept}; made a new one, without what was added by hand"
        )
    app = import_pgadmin(options, first.email)
    from keelson.pgadmin import store  # noqa: PLC0415 - imports pgAdmin's models, which read its configuration

    sys.path.remove(PACKAGES)
    storage = options.directory / "storage"
    store.bring(app, storage, first, unlock=True)

    signing = options.source.sign_on()

    def bring() -> None:
        if options.source.sign_on() != signing:  # which pgAdmin reads at its start alone
            say("the settings of login by OpenID Connect are others, so pgAdmin starts again")
            os._exit(0)  # gunicorn makes another worker; sessions lie in files
        store.bring(app, storage, options.source.read(), unlock=False)

    sign_on.at_login(lambda user: store.bring_user(user, storage, options.source.read()))
    threading.Thread(target=follow, args=(options.source, seen, bring), name="keelson", daemon=True).start()
    return app


def import_pgadmin(options: Options, email: str) -> Any:  # noqa: ANN401
    """Import pgAdmin with the configuration of ours; it makes its store where there is none.

    What libpq finds in the home of the user who runs the stack is not for pgAdmin: its home is its directory.
    """
    os.environ["XDG_STATE_HOME"] = str(paths.state().parent)  # where the registry is, whatever the home
    os.environ["HOME"] = str(options.directory)
    once = {"PGADMIN_SETUP_EMAIL": email, "PGADMIN_SETUP_PASSWORD": secrets.token_urlsafe(24)}  # replaced at once
    os.environ.update(once)
    folder = importlib.util.find_spec("pgadmin4")
    if folder is None or not folder.submodule_search_locations:
        msg = f"{sys.prefix} holds no pgAdmin; run `make setup`, then `keelson restart pgadmin`"
        raise PlatformError(msg)
    sys.path.insert(0, next(iter(folder.submodule_search_locations)))
    import config  # noqa: PLC0415 - pgAdmin's

    ours = configuration.values(options.directory, options.key, protected=options.protected)
    vars(config).update({**ours, **options.chosen, **signing_on(options.source)})
    from pgAdmin4 import app  # noqa: PLC0415 - takes what stands in config now

    for name in once:
        del os.environ[name]
    return app


def signing_on(source: Source) -> dict[str, object]:
    """Return the configuration of login by OpenID Connect; nothing where nobody logs in so."""
    oidc = source.sign_on()
    return {**configuration.sign_on(oidc), "OAUTH2_CONFIG": sign_on.providers(oidc)} if oidc else {}


def follow(source: Source, seen: object, bring: Callable[[], None]) -> NoReturn:
    """Call `bring` whenever the source has changed, and again after it failed."""
    said = ""
    while True:
        time.sleep(FOLLOWING)
        now = source.fingerprint()
        if now == seen:
            continue
        try:
            bring()
        except Exception as fault:  # noqa: BLE001 - pgAdmin goes on with what it has
            if said != str(fault):
                say(f"the list could not follow the stack and will try again: {fault}")
            said = str(fault)
        else:
            seen = now


def die_with_master(_: object, worker: Any) -> None:  # noqa: ANN401
    """Let the kernel end the worker with its master, so that a new one finds port and store free."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker.ppid:
        os._exit(NO_RESTART)


def say(sentence: str) -> None:
    """Write a line into the part's log."""
    os.write(2, f"keelson: {sentence}\n".encode())


def give_up(sentence: str) -> NoReturn:
    """End with one sentence in the log; the next try comes after a pause."""
    say(f"error: {sentence}")
    sys.exit(NO_RESTART)


def main(argv: list[str]) -> None:
    """Serve until it is stopped."""
    try:
        options = Options.parse(argv)
    except KeelsonError as fault:
        give_up(str(fault))
    Application(options).run()


if __name__ == "__main__":
    main(sys.argv[1:])
