"""What the database saw: each time that a job, a task or a mail came to an end, by its clock."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tests.support.stack import Stack

TRIGGERS = """
CREATE TABLE IF NOT EXISTS faults_ending (
    id uuid, ending text, at double precision DEFAULT extract(epoch FROM clock_timestamp())
);
CREATE INDEX IF NOT EXISTS faults_ending_id ON faults_ending (id);
CREATE OR REPLACE FUNCTION faults_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO faults_ending (id, ending) VALUES (NEW.id, NEW.state);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER faults_job AFTER UPDATE ON jobs_job FOR EACH ROW
    WHEN (NEW.state IN ('succeeded', 'failed', 'cancelled')
          AND (OLD.state, OLD.result::text, OLD.error_message)
              IS DISTINCT FROM (NEW.state, NEW.result::text, NEW.error_message))
    EXECUTE FUNCTION faults_note();
CREATE OR REPLACE TRIGGER faults_task AFTER UPDATE ON tasks_task FOR EACH ROW
    WHEN (NEW.state IN ('succeeded', 'failed', 'cancelled')
          AND (OLD.state, OLD.result::text, OLD.error_message)
              IS DISTINCT FROM (NEW.state, NEW.result::text, NEW.error_message))
    EXECUTE FUNCTION faults_note();
CREATE OR REPLACE TRIGGER faults_mail AFTER UPDATE ON mail_email FOR EACH ROW
    WHEN (NEW.state IN ('sent', 'failed') AND OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION faults_note();
"""

ROWS = """
SELECT id, state, result, error_message FROM jobs_job WHERE id = ANY(%s::uuid[])
UNION ALL
SELECT id, state, result, error_message FROM tasks_task WHERE id = ANY(%s::uuid[])
"""


def begin(stack: Stack) -> None:
    """Watch jobs, tasks and mails from now on."""
    stack.execute(TRIGGERS)


def endings(stack: Stack, ids: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """How and when each of ``ids`` came to an end, in order; more than one is once too often."""
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in stack.rows(
        "SELECT id, ending, at FROM faults_ending WHERE id = ANY(%s::uuid[]) ORDER BY at", list(ids)
    ):
        found[str(row["id"])].append((row["ending"], row["at"]))
    return found


def jobs(stack: Stack, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of jobs, and of web's own tasks, by id."""
    return {str(row["id"]): row for row in stack.rows(ROWS, list(ids), list(ids))}


def mails(stack: Stack, recipients: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of all mails to some addresses."""
    return stack.rows(
        "SELECT id, recipient, state, uncertain, answer FROM mail_email WHERE recipient = ANY(%s)",
        list(recipients),
    )
