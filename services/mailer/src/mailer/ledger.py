"""The mailer's memory of what it sent, in a small PostgreSQL database of its own.

A broker may deliver a request twice, and a worker may die at any line. Hence, for each mail:

1. Take a session advisory lock on its id. PostgreSQL gives it up when the process dies, so it
   is held exactly as long as somebody may be sending. Who finds it taken waits for a while and
   then answers TransientError. (A connection pooler between mailer and database must work in
   session mode.)
2. Claim it: a committed row in state ``sending``. Only then may the mail leave.
3. Send it.
4. Settle it: state ``sent`` with the server's answer. Any later request for this mail gets the
   stored receipt, and nothing is sent.

What a failure in between leaves behind:

==================================  =====================================================
refused, or never handed over       the claim is released: the next run starts afresh
killed or cut off after step 2      ``sending`` without a lock: sent again, `uncertain`
outcome unknown (no answer)         the same
database away before step 2 ends    TransientError; no mail leaves without a claim
database away after step 3          settling is tried for SETTLE_FOR seconds. Then the receipt
                                    is returned all the same, for it is true; only if the broker
                                    now delivers the request again is the mail sent again, and
                                    marked `uncertain`
database restarted during step 3    the lock is lost with the connection: a redelivery at that
                                    moment sends a second mail, `uncertain`
==================================  =====================================================

A refusal takes back its own send alone: after an uncertain one, a mail stays uncertain. The
table holds no address and no content.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg_pool import ConnectionPool

from contracts.errors import TransientError
from contracts.results import MailReceipt
from mailer.deadline import cut_after
from mailer.statements import CLAIM, LOCK, PRUNE, RECEIPT, RELEASE, SCHEMA, SETTLE

log = structlog.get_logger("mailer.ledger")

PATIENCE = 10.0  # seconds to wait for a connection
LOCK_WAIT = 30.0  # seconds to wait for another worker that is sending the same mail
SETTLE_FOR = 60.0  # seconds for which to try to note what became of a mail
PAUSE = 0.5  # seconds between two such tries
PRUNING = 60.0  # seconds that forgetting a batch of mails may take
PRUNE_AT_A_TIME = 1_000

# A host that vanishes without a word is noticed within a minute by the other side: else a lock
# would outlive the mailer that held it by two hours.
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
        patience: float = PATIENCE,
        lock_wait: float = LOCK_WAIT,
        settle_for: float = SETTLE_FOR,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: the database, as libpq takes it.
            threads: how many mails may be sent at a time, each of which holds a connection.
            patience: seconds to wait for the database.
            lock_wait: seconds to wait for another worker that is sending the same mail.
            settle_for: seconds for which to try to note what became of a mail.
        """
        self.name = f"{socket.gethostname()}:{os.getpid()}"
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
            reconnect_timeout=patience,  # else its backoff outlasts an outage by minutes
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

    def prune(self, age: timedelta) -> int:
        """Forget some of the mails that were claimed so long ago; returns how many.

        Raises psycopg.Error.
        """
        self.pool.open()
        with self.pool.connection() as connection, answering(connection, PRUNING):
            return connection.execute(PRUNE, [age, PRUNE_AT_A_TIME]).rowcount

    def close(self) -> None:
        """Close the connections."""
        self.pool.close()

    @contextmanager
    def claim(self, email_id: str) -> Iterator["Claim"]:
        """Hold the right to send a mail; see the module's description. Raises TransientError."""
        claim = Claim(self, email_id)
        try:
            claim.acquire()
            yield claim
        finally:
            claim.give_up()


class Claim:
    """The right to send one mail; ``receipt`` is given instead if it was sent before."""

    def __init__(self, ledger: Ledger, email_id: str) -> None:
        self._ledger = ledger
        self._email_id = email_id
        self._connection: Connection | None = None
        self._uncertain = False
        self.receipt: MailReceipt | None = None

    def acquire(self) -> None:
        """Take lock and row. Raises TransientError."""
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
            connection.close()  # with which its lock ends
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
    """Cut the connection if the database does not answer in time, such as one that is frozen."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as line, cut_after(seconds, line):
        yield


def _receipt(connection: Connection, email_id: str) -> MailReceipt:
    message_id, answer, uncertain = connection.execute(RECEIPT, [email_id]).fetchone() or ("",) * 3
    return MailReceipt(message_id=message_id, answer=answer, uncertain=bool(uncertain))


def _reason(error: psycopg.Error) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
