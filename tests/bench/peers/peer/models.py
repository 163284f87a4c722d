"""Answers of tasks whose queue keeps none."""

from django.db import models


class Answer(models.Model):
    """What a task came to, by the queue's own id."""

    task_id = models.TextField(primary_key=True)
    value = models.JSONField()

    def __str__(self) -> str:
        return self.task_id
