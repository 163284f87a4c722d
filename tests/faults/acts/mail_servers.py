"""Mail servers as they are out there: they refuse, fall silent, and hang up."""

from tests.faults.catalogue import Act, fault
from tests.faults.stage import Stage
from tests.faults.verdict import REFUSAL
from tests.support.smtp_faults import (
    BUSY,
    DROPPED_AFTER_DATA,
    DROPPED_AT_CONNECT,
    DROPPED_BEFORE_DATA,
    DROPPED_DURING_DATA,
    GREYLISTED,
    ONE_MAIL_EACH,
    TOO_MANY_CONNECTIONS,
    slow,
)
from tests.support.smtp_faults import Fault as Disturbance
from tests.support.smtp_faults import Stage as Moment

GROUP = "SMTP server"
LONG = 15.0  # seconds
REFUSED = Disturbance(Moment.RCPT, f"550 5.7.1 {REFUSAL}")


def _disturbed(share: float, *faults: Disturbance) -> Act:
    def act(stage: Stage) -> None:
        stage.stack.smtp.disturb(*faults, share=share, seed=stage.random.randrange(10**6))
        stage.lasting(LONG)
        stage.stack.smtp.calm()

    return act


@fault(GROUP, "closes the connections that are kept open")
def closes_idle(stage: Stage) -> None:
    for _ in range(10):
        stage.stack.smtp.cut_connections()
        stage.wait(stage.random.uniform(0.2, 1.5))


fault(GROUP, "answers 4xx, then accepts", quick=True)(_disturbed(0.7, GREYLISTED, BUSY))
fault(GROUP, "answers 5xx to a third")(_disturbed(0.33, REFUSED))
fault(GROUP, "drops the connection before DATA")(
    _disturbed(0.6, DROPPED_AT_CONNECT, DROPPED_BEFORE_DATA)
)
fault(GROUP, "drops the connection during DATA")(_disturbed(0.6, DROPPED_DURING_DATA))
fault(GROUP, "drops the connection after DATA", quick=True)(_disturbed(0.3, DROPPED_AFTER_DATA))
fault(GROUP, "takes 5 s for each mail")(_disturbed(1.0, slow(5.0)))
fault(GROUP, "takes one mail for each connection")(_disturbed(1.0, ONE_MAIL_EACH))
fault(GROUP, "has too many connections")(_disturbed(0.7, TOO_MANY_CONNECTIONS))
