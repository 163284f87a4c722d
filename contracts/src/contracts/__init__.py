"""What the services agree on: names, payloads, results, topology, one Celery configuration."""
