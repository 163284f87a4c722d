"""The tasks that web asks the mailer for."""

from contracts.events import MailReceipt
from contracts.tasks import SEND_EMAIL, SendEmail
from mailer.app import app, ledger, servers, settings, throttle
from mailer.delivery import deliver
from worker.task import ContractTask


@app.task(name=SEND_EMAIL.name, base=ContractTask, contract=SEND_EMAIL)
def send_email(mail: SendEmail) -> MailReceipt:
    """Send one mail."""
    return deliver(
        mail,
        accepted_at=send_email.accepted_at,
        mail_from=settings.mail_from,
        ledger=ledger,
        servers=servers,
        throttle=throttle,
        signer=settings.signer,
    )
