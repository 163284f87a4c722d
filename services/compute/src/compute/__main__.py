"""``python -m compute`` starts the worker."""

from worker.main import start

if __name__ == "__main__":
    start("compute")
