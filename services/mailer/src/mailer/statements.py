"""The SQL of the ledger; ``mailer.ledger`` explains it."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS mail_ledger (
    email_id text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('sending', 'sent')),
    sends integer NOT NULL,  -- begun and not refused; more than one: uncertain
    claimed_at timestamptz NOT NULL,
    claimed_by text NOT NULL,
    sent_at timestamptz,
    message_id text,
    answer text
)
"""
LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
CLAIM = """
INSERT INTO mail_ledger AS held (email_id, state, sends, claimed_at, claimed_by)
VALUES (%s, 'sending', 1, now(), %s)
ON CONFLICT (email_id) DO UPDATE
SET sends = held.sends + 1, claimed_at = excluded.claimed_at, claimed_by = excluded.claimed_by
WHERE held.state = 'sending'
RETURNING sends
"""
RECEIPT = "SELECT message_id, answer, sends > 1 FROM mail_ledger WHERE email_id = %s"
SETTLE = """
UPDATE mail_ledger SET state = 'sent', sent_at = now(), message_id = %s, answer = %s
WHERE email_id = %s
"""
# A locked row is just being claimed, settled, released or deleted by another connection.
PRUNE = """
DELETE FROM mail_ledger WHERE email_id IN (
    SELECT email_id FROM mail_ledger WHERE claimed_at < now() - %s
    LIMIT %s FOR UPDATE SKIP LOCKED
)
"""
RELEASE = """
WITH earlier AS (
    UPDATE mail_ledger SET sends = sends - 1
    WHERE email_id = %(id)s AND state = 'sending' AND sends > 1
)
DELETE FROM mail_ledger WHERE email_id = %(id)s AND state = 'sending' AND sends = 1
"""
