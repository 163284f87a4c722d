"""Make the secrets of Warren's containers: ``create_secrets.py FOLDER DEFINITIONS [ROTATE]``.

Needs nothing but Python, so that it runs where nothing is installed. A password that is there
stays, unless its name is given as ROTATE. What is derived from passwords (addresses, RabbitMQ's
definitions) is the same for the same passwords.

Compose mounts each file as it is, and the processes in the containers are other users than the
one who made it: so the folder is for its owner alone, and the files in it are for all to read.
"""

import base64
import hashlib
import json
import secrets
import sys
from pathlib import Path
from typing import Any

BROKER_USERS = (
    *("topology", "relay", "collector", "reconciler"),
    *("mailer", "compute", "tasks", "flower"),
)
PASSWORDS = (
    *(f"rabbitmq_{user}_password" for user in (*BROKER_USERS, "monitoring")),
    "postgres_password",
    "postgres_warren_password",
    "postgres_mailer_password",
    "flower_password",
    "django_secret_key",
    "jwt_signing_key",
)
# What an operator puts there, and what stands there until then.
GIVEN = {
    "smtp_url": "smtp://mailpit:1025",  # refused outside development
    "tls_certificate": "none\n",  # Swarm takes no empty secret
    "tls_key": "none\n",
}


def main() -> None:
    """Fill the folder named on the command line."""
    folder, definitions = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # also one that was copied from somewhere
    _rotate(folder, sys.argv[3:])
    for name, text in GIVEN.items():
        _create(folder / name, text)
    for name in PASSWORDS:
        _create(folder / name, secrets.token_urlsafe(48))  # which needs no encoding in a URL
    passwords = {name: (folder / name).read_text() for name in PASSWORDS}
    for name, text in _addresses(passwords).items():
        _write(folder / name, text)
    hashed = json.dumps(_with_hashes(definitions, passwords), indent=2)
    _write(folder / "rabbitmq_definitions.json", hashed)


def _rotate(folder: Path, names: list[str]) -> None:
    if unknown := set(names) - set(PASSWORDS):
        known = "\n  ".join(PASSWORDS)
        sys.exit(f"{', '.join(unknown)} cannot be rotated. What can:\n  {known}")
    for name in names:
        _write(folder / name, secrets.token_urlsafe(48))


def _create(path: Path, text: str) -> None:
    if not path.exists():
        unfinished = path.with_name(f".{path.name}.unfinished")  # the whole or nothing
        _write(unfinished, text)
        unfinished.replace(path)


def _write(path: Path, text: str) -> None:
    """Write in place: a container that has the file mounted would not see another one."""
    path.write_text(text)
    path.chmod(0o644)


def _addresses(password: dict[str, str]) -> dict[str, str]:
    def broker(user: str) -> str:
        return f"{user}:{password[f'rabbitmq_{user}_password']}@rabbitmq"

    return {
        **{f"{user}_broker_url": f"amqp://{broker(user)}:5672/warren" for user in BROKER_USERS},
        "rabbitmq_management_url": f"http://{broker('monitoring')}:15672/rabbitmq/api/",
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

    The salt follows from the password, so that the same password has the same hash: no loss, for
    no two users share a random password.
    """
    salt = hashlib.sha256(b"salt" + password.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"{error.strerror}: {error.filename} (the checkout has to be yours)")
