"""Make the secrets of Warren's containers: ``create_secrets.py FOLDER DEFINITIONS [ROTATE]``.

Needs only Python, so that it runs where nothing is installed. An existing password stays, unless
its name is given as ROTATE. The files that are derived from passwords (addresses, RabbitMQ's
definitions) are the same for the same passwords.

Compose mounts each file with its owner and mode, but the containers' processes run as other users.
So every user may read the files, and only the owner may enter their folder.
"""

import base64
import hashlib
import json
import secrets
import sys
from pathlib import Path
from typing import Any

MONITORING = "monitoring"  # the one user of the broker that no process connects as
PASSWORDS = (
    "postgres_password",
    "postgres_warren_password",
    "postgres_mailer_password",
    "flower_password",
    "django_secret_key",
    "jwt_signing_key",
)
# Files that an operator replaces, with their contents until then.
GIVEN = {
    "smtp_url": "smtp://mailpit:1025",  # refused outside development
    "dkim_key": "none\n",  # Swarm takes no empty secret
    "tls_certificate": "none\n",
    "tls_key": "none\n",
}


def main() -> None:
    """Fill the folder named on the command line."""
    folder, definitions = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    users = [user["name"] for user in definitions["users"]]
    names = (*(f"rabbitmq_{user}_password" for user in users), *PASSWORDS)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # also a folder that was copied from elsewhere
    _rotate(folder, sys.argv[3:], names)
    for name, text in GIVEN.items():
        _create(folder / name, text)
    for name in names:
        _create(folder / name, secrets.token_urlsafe(48))  # needs no encoding in a URL
    passwords = {name: (folder / name).read_text() for name in names}
    for name, text in _addresses(passwords, users).items():
        _write(folder / name, text)
    hashed = json.dumps(_with_hashes(definitions, passwords), indent=2)
    _write(folder / "rabbitmq_definitions.json", hashed)


def _rotate(folder: Path, names: list[str], known_names: tuple[str, ...]) -> None:
    if unknown := set(names) - set(known_names):
        known = "\n  ".join(known_names)
        sys.exit(f"{', '.join(unknown)} cannot be rotated. What can:\n  {known}")
    for name in names:
        _write(folder / name, secrets.token_urlsafe(48))


def _create(path: Path, text: str) -> None:
    if not path.exists():
        unfinished = path.with_name(f".{path.name}.unfinished")  # no half-written file
        _write(unfinished, text)
        unfinished.replace(path)


def _write(path: Path, text: str) -> None:
    """Write in place: a container that has mounted the file would not see a new one."""
    path.write_text(text)
    path.chmod(0o644)


def _addresses(password: dict[str, str], users: list[str]) -> dict[str, str]:
    def broker(user: str) -> str:
        return f"{user}:{password[f'rabbitmq_{user}_password']}@rabbitmq"

    return {
        **{
            f"{user}_broker_url": f"amqp://{broker(user)}:5672/warren"
            for user in users
            if user != MONITORING
        },
        "rabbitmq_management_url": f"http://{broker(MONITORING)}:15672/rabbitmq/api/",
        "database_url": f"postgresql://warren:{password['postgres_warren_password']}@postgres/warren",
        "ledger_url": f"postgresql://mailer:{password['postgres_mailer_password']}@postgres/mailer",
        "flower_basic_auth": f"warren:{password['flower_password']}",
    }


def _with_hashes(definitions: dict[str, Any], passwords: dict[str, str]) -> dict[str, Any]:
    users = [
        {
            **user,
            "password_hash": _hash(passwords[f"rabbitmq_{user['name']}_password"]),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
        }
        for user in definitions["users"]
    ]
    return {**definitions, "users": users}


def _hash(password: str) -> str:
    """Hash as https://www.rabbitmq.com/docs/passwords#computing-password-hash describes.

    The salt is derived from the password, so that the same password has the same hash. That costs
    no security, because passwords are random and no two users share one.
    """
    salt = hashlib.sha256(b"salt" + password.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"{error.strerror}: {error.filename} (the checkout has to be yours)")
