"""Django's Tasks with the database backend.

Source: https://github.com/RealOrangeOne/django-tasks-db
"""

from django_tasks import TaskResultStatus, default_task_backend, task


@task
def add(x: float, y: float) -> float:
    """Add."""
    return x + y


def submit(x: float, y: float) -> str:
    """Store the task."""
    return str(add.enqueue(x, y).id)


def answer(task_id: str) -> float | None:
    """Ask the backend."""
    result = default_task_backend.get_result(task_id)
    return result.return_value if result.status is TaskResultStatus.SUCCESSFUL else None
