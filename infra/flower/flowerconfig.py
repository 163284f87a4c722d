"""Flower as Warren runs it: ``celery --app=flowerapp flower --conf=flowerconfig.py``.

Arguments that must not be seen are redacted by the sender, so that Flower never gets them.
Note that Flower leaves ``/metrics`` and ``/healthcheck`` open also with a password.
Tornado reads this file and wants the very type of each option: ``10.0``, not ``10``, for a float.
"""

from flowerapp import settings

address = settings.address
port = settings.port
basic_auth = [settings.basic_auth]
url_prefix = settings.url_prefix
broker_api = settings.broker_api
# Jobs are cancelled through web, which would not learn of what Flower does to a task.
read_only = True
inspect_timeout = 10_000.0  # milliseconds: a busy worker answers late
max_tasks = 20_000
purge_offline_workers = 300  # seconds: one that was scaled away does not stay for ever
natural_time = False
task_runtime_metric_buckets = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, float("inf")]
