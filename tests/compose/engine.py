"""A Docker engine for the tests: the machine's own, or one that a script provides."""

import os
import subprocess

# Names a program with the commands `up` (start an engine and wait for it), `env` (print what a
# shell has to export to use it) and `down`. It is asked only where no Docker daemon answers.
PROVIDER = "WARREN_COMPOSE_ENGINE"


def unavailable() -> str:
    """Say why containers cannot be run here; nothing if they can."""
    try:
        for command in (["docker", "compose", "version"], ["docker", "info"]):
            subprocess.run(command, capture_output=True, check=True)
    except FileNotFoundError:
        return "docker is not installed"
    except subprocess.CalledProcessError as error:
        return error.stderr.decode().strip() or "docker does not answer"
    return ""


def start(provider: str) -> None:
    """Start the provider's engine, and use it from now on."""
    subprocess.run([provider, "up"], check=True)
    exports = subprocess.run([provider, "env"], check=True, capture_output=True, text=True).stdout
    script = f"{exports}\nenv -0"
    found = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
    variables = dict(entry.partition("=")[::2] for entry in found.stdout.split("\0") if entry)
    os.environ |= {n: v for n, v in variables.items() if n == "PATH" or n.startswith("DOCKER_")}


def stop(provider: str) -> None:
    """Stop it again."""
    subprocess.run([provider, "down"], check=True)
