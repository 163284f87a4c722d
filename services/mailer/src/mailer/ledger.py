"""The mailer's record of sent mails, in a small PostgreSQL database of its own.

A broker may deliver a request twice, and a worker may die at any line. Hence, for each mail:

1. Take a session advisory lock on its id. PostgreSQL releases it when the process dies, so it is
   held exactly as long as a run may be sending. Another run waits for a while, then raises
   TransientError. (A connection pooler between mailer and database must work in session mode.)
2. Claim it: a committed row in state ``sending``. Only then may the mail leave.
3. Send it.
4. Settle it: state ``sent`` with the server's answer. Any later request for this mail gets the
   stored receipt, and nothing is sent.

After a failure in between:

==================================  =====================================================
refused, or never handed over       the claim is released: the next run starts afresh
killed or cut off after step 2      ``sending`` without a lock: sent again, `uncertain`
outcome unknown (no answer)         the same
database away before step 2 ends    TransientError; no mail leaves without a claim
database away after step 3          settling is tried for SETTLE_FOR seconds. Then the receipt
                                    is returned all the same, for it is true. Should the broker
                                    deliver the request again, the mail is sent again and marked
                                    `uncertain`
database restarted during step 3    the lock is lost with the connection: a redelivery at that
                                    moment sends a second mail, `uncertain`
==================================  =====================================================

A refusal takes back only its own send: after an uncertain send, a mail stays uncertain. The table
holds no address and no content.

A mail is forgotten after KEEP_LEDGER days. The ledger then no longer knows whether it was sent. So
it refuses an older request, such as a dead letter that is replayed after months.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg_pool import ConnectionPool

from contracts.errors import PermanentError, TransientError
from contracts.events import MailReceipt
from mailer.deadline import cut_after
from mailer.statements import CLAIM, LOCK, PRUNE, RECEIPT, RELEASE, SCHEMA, SETTLE

log = structlog.get_logger("mailer.ledger")

PATIENCE = 10.0  # seconds to wait for a connection
LOCK_WAIT = 30.0  # seconds to wait for another worker that is sending the same mail
SETTLE_FOR = 60.0  # seconds for which to try to note that a mail was sent, or was not
PAUSE = 0.5  # seconds between two such tries
PRUNING = 60.0  # seconds that forgetting a batch of mails may take
PRUNE_AT_A_TIME = 1_000
LEEWAY = timedelta(days=1)  # a request is refused so long before its mail is forgotten

# Each side notices within a minute that the other one's host has vanished. By default, a lock would
# outlive the mailer that held it by two hours.
KEEPALIVES = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 10,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,  # ms
}
SERVER_KEEPALIVES = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=2"
    " -c tcp_user_timeout=20s"
)


class Ledger:
    """Hands out the right to send a mail."""

    def __init__(
        self,
        url: str,
        *,
        threads: int,
        days: int = 0,
        patience: float = PATIENCE,
        lock_wait: float = LOCK_WAIT,
        settle_for: float = SETTLE_FOR,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: the database, as libpq takes it.
            threads: how many mails may be sent at a time, each of which holds a connection.
            days: for how long a mail is remembered; 0 is for ever.
            patience: seconds to wait for the database.
            lock_wait: seconds to wait for another worker that is sending the same mail.
            settle_for: seconds for which to try to note that a mail was sent, or was not.
        """
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.memory = timedelta(days=days)
        self.settle_for = settle_for
        self.patience = patience
        self.lock_wait = lock_wait
        options = f"{SERVER_KEEPALIVES} -c lock_timeout={int(lock_wait * 1000)}"
        self.pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            name="ledger",
            min_size=1,
            max_size=threads,
            timeout=patience,
            reconnect_timeout=patience,  # the pool's own backoff would outlast an outage by minutes
            open=False,
            check=self._check,
            configure=self._create_table,
            kwargs={
                "autocommit": True,
                "application_name": "mailer",
                "options": options,
                **KEEPALIVES,
            },
        )

    def prepare(self, timeout: float) -> None:
        """Create the table if it is missing.

        Raises psycopg.OperationalError if the database does not answer for ``timeout`` seconds.
        """
        self.pool.open(wait=True, timeout=timeout)

    def _check(self, connection: Connection) -> None:
        with answering(connection, self.patience):
            ConnectionPool.check_connection(connection)

    def _create_table(self, connection: Connection) -> None:
        with answering(connection, self.patience), connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(0, 0)")  # two at once would collide
            connection.execute(SCHEMA)

    def prune(self) -> int:
        """Forget PRUNE_AT_A_TIME mails, at most, that are old enough; returns how many.

        Raises psycopg.Error if the database does not do so in time.
        """
        self.pool.open()
        with self.pool.connection() as connection, answering(connection, PRUNING):
            return connection.execute(PRUNE, [self.memory, PRUNE_AT_A_TIME]).rowcount

    def close(self) -> None:
        """Close the connections."""
        self.pool.close()

    @contextmanager
    def claim(self, email_id: str, accepted_at: datetime | None = None) -> Iterator["Claim"]:
        """Hold the right to send a mail; see the module's description.

        ``accepted_at`` is the time of the request, or None if it is unknown. Raises TransientError
        if another worker is sending the mail, or the ledger is not available. Raises PermanentError
        for a request of long ago, whose mail may be forgotten.
        """
        if self.memory and accepted_at and accepted_at < datetime.now(UTC) - self.memory + LEEWAY:
            raise PermanentError(
                f"it was asked for at {accepted_at:%Y-%m-%d}, and after {self.memory.days} days"
                " (KEEP_LEDGER) nobody knows whether it was sent: ask for a new one",
                "MailForgotten",
            )
        claim = Claim(self, email_id)
        try:
            claim.acquire()
            yield claim
        finally:
            claim.give_up()


class Claim:
    """The right to send one mail, unless there is a ``receipt``: then it was sent before."""

    def __init__(self, ledger: Ledger, email_id: str) -> None:
        self._ledger = ledger
        self._email_id = email_id
        self._connection: Connection | None = None
        self._uncertain = False
        self.receipt: MailReceipt | None = None

    def acquire(self) -> None:
        """Take lock and row. Raises TransientError if that is not possible now."""
        try:
            connection = self._connect()
            with answering(connection, self._ledger.lock_wait + self._ledger.patience):
                self._claim(connection)
        except LockNotAvailable as error:
            raise TransientError("another worker is sending this mail") from error
        except psycopg.Error as error:
            log.warning("ledger not available", reason=_reason(error))
            raise TransientError("the mailer's ledger is not available") from error

    def _claim(self, connection: Connection) -> None:
        connection.execute(LOCK, [self._email_id])
        claimed = connection.execute(CLAIM, [self._email_id, self._ledger.name]).fetchone()
        if claimed:
            self._uncertain = claimed[0] > 1
        else:
            self.receipt = _receipt(connection, self._email_id)

    def settle(self, message_id: str, answer: str) -> MailReceipt:
        """Note that the mail was sent; returns its receipt, even if it could not be noted."""
        if not self._note(SETTLE, [message_id, answer, self._email_id]):
            log.error("mail was sent but that is not noted", email_id=self._email_id)
        return MailReceipt(message_id=message_id, answer=answer, uncertain=self._uncertain)

    def release(self) -> None:
        """Note that this run sent nothing."""
        if not self._note(RELEASE, {"id": self._email_id}):
            log.error("mail was not sent but that is not noted", email_id=self._email_id)

    def give_up(self) -> None:
        """Let go of the lock."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with answering(connection, self._ledger.patience):
                connection.execute("SELECT pg_advisory_unlock_all()")
        except psycopg.Error:
            connection.close()  # which releases the lock, too
        self._ledger.pool.putconn(connection)

    def _connect(self) -> Connection:
        if self._connection is None:
            self._ledger.pool.open()
            self._connection = self._ledger.pool.getconn()
        return self._connection

    def _note(self, query: str, parameters: Any) -> bool:
        end = time.monotonic() + self._ledger.settle_for
        while True:
            try:
                connection = self._connect()
                with answering(connection, self._ledger.patience):
                    connection.execute(query, parameters)
            except psycopg.Error as error:
                log.warning("ledger not available", reason=_reason(error))
                self.give_up()
            else:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE)


@contextmanager
def answering(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut the connection if the block takes longer, as with a database that is frozen."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as line, cut_after(seconds, line):
        yield


def _receipt(connection: Connection, email_id: str) -> MailReceipt:
    message_id, answer, uncertain = connection.execute(RECEIPT, [email_id]).fetchone() or ("",) * 3
    return MailReceipt(message_id=message_id, answer=answer, uncertain=bool(uncertain))


def _reason(error: psycopg.Error) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
