"""Make the secrets of Warren's containers: ``create_secrets.py FOLDER DEFINITIONS``.

Needs nothing but Python, so that it runs in a bare image. A password that is there stays; what
is derived from passwords (addresses, RabbitMQ's definitions) is written anew each time.
"""

import base64
import hashlib
import json
import secrets
import sys
from pathlib import Path
from typing import Any

PASSWORDS = (
    "rabbitmq_warren_password",
    "postgres_password",
    "postgres_warren_password",
    "postgres_mailer_password",
    "flower_password",
    "django_secret_key",
    "jwt_signing_key",
)


def main() -> None:
    """Fill the folder named on the command line."""
    folder, definitions = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    passwords = {name: _password(folder / name) for name in PASSWORDS}
    for name, text in _addresses(passwords).items():
        _write(folder / name, text)
    _write(folder / "rabbitmq_definitions.json", json.dumps(_with_hashes(definitions, passwords)))


def _password(path: Path) -> str:
    if not path.exists():
        _write(path, secrets.token_urlsafe(48))  # which needs no encoding in a URL
    return path.read_text()


def _addresses(password: dict[str, str]) -> dict[str, str]:
    broker = f"warren:{password['rabbitmq_warren_password']}@rabbitmq"
    return {
        "broker_url": f"amqp://{broker}:5672/warren",
        "rabbitmq_management_url": f"http://{broker}:15672/api/",
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
    """Hash as https://www.rabbitmq.com/docs/passwords#computing-password-hash describes."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _write(path: Path, text: str) -> None:
    """Write the whole or nothing, readable to every user of a container that mounts the folder."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.chmod(0o444)
    unfinished.replace(path)


if __name__ == "__main__":
    main()
