"""Example values with which web's settings can be read while no server runs, as in type checks."""

import os

VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "web.settings",
    "WARREN_ENVIRONMENT": "development",
    "DJANGO_SECRET_KEY": "only-an-example-only-an-example-only-an-example-only-an-example",
    "JWT_SIGNING_KEY": "only-an-example-only-an-example-only-an-example",
    "PUBLIC_URL": "http://localhost:8000",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "BROKER_URL": "amqp://warren:warren@localhost:5672/warren",
    "DATABASE_URL": "postgresql://warren:warren@localhost:5432/warren",
    "LOG_FORMAT": "json",
}


def complete_environment() -> None:
    """Add each variable that the environment lacks."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
