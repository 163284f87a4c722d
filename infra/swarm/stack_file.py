"""Turn Compose's configuration into one that `docker stack deploy` takes.

``docker compose config --format json | python3 infra/swarm/stack_file.py`` prints JSON, which is
YAML, too. Needs only Python. docs/operations.md says which options are left out, and why.
"""

import json
import sys
from typing import Any

REFUSED = ("build", "depends_on", "profiles")  # `docker stack deploy` stops at them
IGNORED = ("restart", "security_opt", "shm_size")  # it would leave these out with a warning


def main() -> None:
    """Convert JSON from standard input to standard output."""
    composed = json.load(sys.stdin)
    services = {name: _service(service) for name, service in composed["services"].items()}
    stack = {
        "version": "3.12",
        "services": services,
        "networks": {name: _network(options) for name, options in composed["networks"].items()},
        "volumes": {name: {} for name in composed["volumes"]},
        "secrets": {name: {"file": given["file"]} for name, given in composed["secrets"].items()},
    }
    json.dump(stack, sys.stdout, indent=2)


def _service(composed: dict[str, Any]) -> dict[str, Any]:
    service = {
        name: value
        for name, value in composed.items()
        if value is not None and name not in REFUSED + IGNORED
    }
    limits = service["deploy"]["resources"]["limits"]
    limits["cpus"] = str(limits["cpus"])
    # A service's name resolves to its containers, as in Compose.
    service["deploy"]["endpoint_mode"] = "dnsrr"
    once = composed.get("restart") == "no"
    service["deploy"]["restart_policy"] = {"condition": "on-failure" if once else "any"}
    service["volumes"] = service.get("volumes", []) + [_tmpfs(m) for m in service.pop("tmpfs", [])]
    service["networks"] = list(service["networks"])
    for port in service.get("ports", []):
        port["published"] = int(port["published"])
        port.pop("host_ip", None)
        port["mode"] = "host"  # so that the proxy sees the client's address
    return service


def _tmpfs(mount: str) -> dict[str, Any]:
    path, _, size = mount.partition(":size=")
    options = {"tmpfs": {"size": int(size.removesuffix("m")) * 2**20}} if size else {}
    return {"type": "tmpfs", "target": path, **options}


def _network(composed: dict[str, Any]) -> dict[str, Any]:
    return {"driver": "overlay", "internal": composed.get("internal", False)}


if __name__ == "__main__":
    main()
