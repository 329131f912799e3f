"""Sets the password of pgAdmin's administrator to what its file says: run by the official image's own Python, which sets it only once.

`python pgadmin_login.py EMAIL`, in pgAdmin's folder, with its configuration in CONFIG_DISTRO_FILE_PATH. A new password ends the sessions of
before, and what it had encrypted is of no use.
"""

from __future__ import annotations

import builtins
import sys
import uuid
from pathlib import Path

PASSWORD = "/etc/keelson/password"  # noqa: S105 - a file
STORE = "/var/lib/pgadmin/pgadmin4.db"


def main(email: str, folder: str = "/pgadmin4") -> None:
    """Change it where it is another one; before pgAdmin has made its store there is nothing to change."""
    if not Path(STORE).exists():
        return
    sys.path.insert(0, folder)
    vars(builtins)["SERVER_MODE"] = True
    import config  # noqa: PLC0415 - pgAdmin's, as all that follow
    from flask_security.utils import hash_password, verify_password  # noqa: PLC0415
    from pgadmin import create_app  # noqa: PLC0415
    from pgadmin.model import Server, User, db  # noqa: PLC0415

    wanted = Path(PASSWORD).read_text(encoding="utf-8")
    with create_app(f"{config.APP_NAME}-cli").test_request_context():
        user = User.query.filter_by(username=email, auth_source="internal").first()
        if user is None or verify_password(wanted, user.password):
            return
        user.password, user.fs_uniquifier = hash_password(wanted), uuid.uuid4().hex
        user.active, user.locked, user.login_attempts = True, False, 0
        Server.query.filter_by(user_id=user.id).update({"password": None, "save_password": 0})
        db.session.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
