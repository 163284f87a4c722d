"""The examples, as they run beside everything else."""

from .support.api import Account
from .support.stack import Stack


def test_the_words_of_a_note_are_counted_by_a_task(stack: Stack, user: Account) -> None:
    made = user.http.post("notes", json={"text": "four words and more"})
    assert made.status_code == 201, made.text
    address = f"notes/{made.json()['id']}"
    stack.poll(
        lambda: user.http.get(address).json()["words"], lambda words: words == 4, "its words"
    )
    listed = stack.manage("periodic", "list", check=True).stdout
    assert "notes.tasks.forget_old_notes  [30 4 * * * UTC]" in listed
