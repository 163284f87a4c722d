"""Flower as Warren runs it: ``celery --app=flowerapp flower --conf=flowerconfig.py``.

The sender redacts arguments that must not be seen, so Flower never gets them.
Note that Flower leaves ``/metrics`` and ``/healthcheck`` open even with a password.
Tornado reads this file and wants the exact type of each option: ``10.0``, not ``10``, for a float.
"""

from flowerapp import settings

address = settings.address
port = settings.port
basic_auth = [settings.basic_auth]
url_prefix = settings.url_prefix
broker_api = settings.broker_api
# Jobs are cancelled through web, which would not learn that Flower has ended a task.
read_only = True
inspect_timeout = 10_000.0  # milliseconds; a busy worker answers late
max_tasks = 20_000
purge_offline_workers = 300  # seconds; otherwise a worker that was scaled away stays for ever
natural_time = False
task_runtime_metric_buckets = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, float("inf")]
