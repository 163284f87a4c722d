"""Away for a minute: stopped in order, or frozen in the middle of its work (SIGSTOP)."""

from tests.faults.catalogue import Act, fault
from tests.faults.stage import Stage

MINUTE = 60.0
PROCESSES = ("web", "relay", "collector", "reconciler", "mailer", "compute")


@fault("stopped for 60 s", "RabbitMQ", quick=True)
def broker_stopped(stage: Stage) -> None:
    with stage.away(stage.stack.broker):
        stage.stack.broker.stop()
        stage.lasting(MINUTE)
    stage.stack.broker.start()


@fault("stopped for 60 s", "PostgreSQL", quick=True, may_refuse=True)
def database_stopped(stage: Stage) -> None:
    with stage.away(stage.stack.database):
        stage.stack.database.stop()
        stage.lasting(MINUTE)
    stage.stack.database.start()


@fault("stopped for 60 s", "SMTP", quick=True)
def smtp_stopped(stage: Stage) -> None:
    stage.stack.smtp.shut()
    stage.lasting(MINUTE)
    stage.stack.smtp.open()


@fault("frozen for 60 s", "RabbitMQ", quick=True)
def broker_frozen(stage: Stage) -> None:
    stage.stack.broker.pause()
    stage.lasting(MINUTE)
    stage.stack.broker.resume()


@fault("frozen for 60 s", "PostgreSQL", may_refuse=True)
def database_frozen(stage: Stage) -> None:
    stage.stack.database.pause()
    stage.lasting(MINUTE)
    stage.stack.database.resume()


@fault("frozen for 60 s", "SMTP")
def smtp_frozen(stage: Stage) -> None:
    stage.link("mailer", "smtp").hold()
    stage.lasting(MINUTE)
    stage.link("mailer", "smtp").release()


def _stopped(name: str) -> Act:
    def act(stage: Stage) -> None:
        process = getattr(stage.stack, name)
        with stage.away(process):
            process.stop()
            stage.lasting(MINUTE)
        process.launch()
        stage.until(lambda: process.ready, f"{name}'s return")

    return act


def _frozen(name: str) -> Act:
    def act(stage: Stage) -> None:
        process = getattr(stage.stack, name)
        process.pause()
        stage.lasting(MINUTE)
        process.resume()

    return act


for _name in PROCESSES:
    fault("stopped for 60 s", _name)(_stopped(_name))
    fault("frozen for 60 s", _name, quick=_name == "compute")(_frozen(_name))
