"""A service that adds two numbers in the background, on the queue that PEER names.

All peers have the same API, database settings and token authentication; ``systems`` holds what
differs. The application of Celery's peers is found here, as Celery's guide for Django has it.
"""

import os

if os.environ.get("PEER", "").startswith("celery"):
    from peer.systems.celery import app as celery_app

    __all__ = ["celery_app"]
