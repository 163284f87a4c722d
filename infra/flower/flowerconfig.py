"""Flower as Warren runs it: ``celery --app=flowerapp flower --conf=flowerconfig.py``.

Arguments that must not be seen are redacted by the sender, so that Flower never gets them.
Note that Flower leaves ``/metrics`` and ``/healthcheck`` open also with a password.
"""

from flowerapp import settings

address = settings.address
port = settings.port
basic_auth = [settings.basic_auth]
url_prefix = settings.url_prefix
broker_api = settings.broker_api
inspect_timeout = 10_000  # milliseconds: a busy worker answers late
max_tasks = 20_000
natural_time = False
task_runtime_metric_buckets = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300]
