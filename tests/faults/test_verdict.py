"""The verdict believes what it has seen, and not what Warren says of itself."""

import time

from tests.support.api import Account as User
from tests.support.polling import poll
from tests.support.stack import Stack

from .load import Account
from .verdict import Outcome


def test_a_mail_that_no_server_has_taken_is_missing(stack: Stack, visitor: User) -> None:
    account = Account(registered=[(visitor.email, time.time())])
    poll(lambda: Outcome(account, stack).pending, lambda pending: not pending, what="mail")
    [mail] = stack.smtp.mails_to(visitor.email)

    taken = stack.smtp.taken.pop(mail["Message-ID"])
    try:
        missing = Outcome(account, stack).missing
    finally:
        stack.smtp.taken[mail["Message-ID"]] = taken

    assert (missing, Outcome(account, stack).missing) == (1, 0)


def test_a_mail_that_a_server_has_taken_twice_is_counted(stack: Stack, visitor: User) -> None:
    account = Account(registered=[(visitor.email, time.time())])
    poll(lambda: Outcome(account, stack).pending, lambda pending: not pending, what="mail")
    [mail] = stack.smtp.mails_to(visitor.email)

    stack.smtp.taken[mail["Message-ID"]] += 1
    try:
        assert Outcome(account, stack).twice == (1, 0)
    finally:
        stack.smtp.taken[mail["Message-ID"]] -= 1
