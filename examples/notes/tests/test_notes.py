"""Notes, from the request to what a task makes of them, without a broker."""

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth import get_user_model
from django.db.models.functions import Now
from django.test import Client
from rest_framework.test import APIClient

from notes.models import Note
from notes.tasks import count_words, forget_old_notes
from web.tasks.periodic import entries
from web.tasks.testing import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> Any:
    return get_user_model().objects.create(email="ada@example.org")


@pytest.fixture
def api(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_words_are_counted_after_the_request(api: APIClient) -> None:
    made = api.post("/api/v1/notes", {"text": "four words and more"})
    assert (made.status_code, made.json()["words"]) == (201, None)
    drain()
    assert api.get(f"/api/v1/notes/{made.json()['id']}").json()["words"] == 4


def test_a_note_that_is_refused_sends_nothing(api: APIClient) -> None:
    assert api.post("/api/v1/notes", {"text": ""}).status_code == 400
    assert drain() == []


def test_nobody_sees_the_notes_of_others(api: APIClient) -> None:
    api.post("/api/v1/notes", {"text": "mine"})
    other = APIClient()
    other.force_authenticate(get_user_model().objects.create(email="eve@example.org"))
    assert other.get("/api/v1/notes").json()["results"] == []
    assert len(api.get("/api/v1/notes").json()["results"]) == 1
    assert APIClient().get("/api/v1/notes").status_code == 401


def test_a_second_run_changes_nothing(user: Any) -> None:
    note = Note.objects.create(owner=user, text="one two")
    results = [count_words.delay(str(note.pk)) for _ in range(2)]
    drain()
    assert [result.get() for result in results] == [2, 2]


def test_old_notes_are_forgotten_each_night(user: Any) -> None:
    for days in (1, 400):
        note = Note.objects.create(owner=user, text=f"{days} days")
        Note.objects.filter(pk=note.pk).update(created_at=Now() - timedelta(days=days))
    result = forget_old_notes.delay()
    drain()
    assert result.get() == 1
    assert [note.text for note in Note.objects.all()] == ["1 days"]
    assert entries()["notes.tasks.forget_old_notes"].cron.expression == "30 4 * * *"


def test_operators_see_that_there_are_notes(user: Any, admin_client: Client) -> None:
    note = Note.objects.create(owner=user, text="a secret")
    page = admin_client.get(f"/admin/notes/note/{note.pk}/change/").content.decode()
    assert "ada@example.org" in page
    assert "a secret" not in page
    assert current_app.main == "tasks"
