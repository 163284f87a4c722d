"""The pools in which a worker runs tasks, by the names under which a service asks for them."""

POOLS = {"threads": "worker.pools.threads:TaskPool", "prefork": "worker.pools.processes:TaskPool"}
