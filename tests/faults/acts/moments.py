"""Killed at the one moment that matters, which a held connection makes long enough to hit."""

from tests.faults.catalogue import Act, fault
from tests.faults.link import Direction
from tests.faults.stage import Stage
from tests.support.smtp_faults import FOREVER
from tests.support.smtp_faults import Fault as Disturbance
from tests.support.smtp_faults import Stage as Moment

GROUP = "kill -9 at the moment"
CLAIMED = "SELECT id FROM messaging_outboxmessage WHERE leased_until > now()"
UNFINISHED = "SELECT id FROM jobs_job WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"


@fault(GROUP, "relay between claim and publish")
def relay_claimed(stage: Stage) -> None:
    link = stage.link("relay", "broker")
    link.hold(Direction.TO_SERVER)
    stage.until(lambda: stage.stack.rows(CLAIMED), "claim")
    stage.stack.relay.kill()
    link.forget()
    stage.stack.relay.launch()


@fault(GROUP, "relay between publish and delete", quick=True)
def relay_published(stage: Stage) -> None:
    link = stage.link("relay", "broker")
    link.hold(Direction.TO_CLIENT)
    stage.until(lambda: stage.stack.rows(CLAIMED), "claim")
    stage.wait(1)  # it has written all that it claimed, and hears of no confirm
    stage.stack.relay.kill()
    link.forget()
    stage.stack.relay.launch()


@fault(GROUP, "collector before its commit")
def collector_before(stage: Stage) -> None:
    link = stage.link("collector", "database")
    link.hold(Direction.TO_SERVER)
    stage.until(lambda: stage.stack.rows(UNFINISHED), "job on its way")
    stage.wait(1)
    stage.stack.collector.kill()
    link.forget()
    stage.stack.collector.launch()


@fault(GROUP, "collector after its commit", quick=True)
def collector_after(stage: Stage) -> None:
    link = stage.link("collector", "broker")
    link.hold(Direction.TO_SERVER)  # what it has been sent it writes down, and cannot acknowledge
    stage.wait(2)
    stage.stack.collector.kill()
    link.forget()
    stage.stack.collector.launch()


def _mailer(moment: Moment) -> Act:
    def act(stage: Stage) -> None:
        smtp, silence = stage.stack.smtp, Disturbance(moment, seconds=FOREVER)
        before = smtp.struck[silence]
        smtp.disturb(silence)
        stage.until(lambda: smtp.struck[silence] > before, "a mail in the middle of it")
        stage.stack.mailer.kill()
        smtp.calm()
        stage.stack.mailer.launch()

    return act


fault(GROUP, "mailer before DATA")(_mailer(Moment.DATA))
fault(GROUP, "mailer during DATA")(_mailer(Moment.CONTENT))
fault(GROUP, "mailer after DATA", quick=True)(_mailer(Moment.END))
