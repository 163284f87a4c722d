"""Away for a minute: stopped in order, or frozen in the middle of its work (SIGSTOP)."""

from tests.faults.catalogue import PROCESSES, Act, fault
from tests.faults.stage import Stage

MINUTE = 60.0


def _server_stopped(name: str) -> Act:
    def act(stage: Stage) -> None:
        server = getattr(stage.stack, name)
        with stage.away(server):
            server.stop()
            stage.lasting(MINUTE)
        server.start()

    return act


fault("stopped for 60 s", "RabbitMQ", quick=True)(_server_stopped("broker"))
fault("stopped for 60 s", "PostgreSQL", quick=True, may_refuse=True)(_server_stopped("database"))


@fault("stopped for 60 s", "SMTP", quick=True)
def smtp_stopped(stage: Stage) -> None:
    stage.stack.smtp.shut()
    stage.lasting(MINUTE)
    stage.stack.smtp.open()


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
        part = getattr(stage.stack, name)
        part.pause()
        stage.lasting(MINUTE)
        part.resume()

    return act


fault("frozen for 60 s", "RabbitMQ", quick=True)(_frozen("broker"))
fault("frozen for 60 s", "PostgreSQL", may_refuse=True)(_frozen("database"))
for _name in PROCESSES:
    fault("stopped for 60 s", _name)(_stopped(_name))
    fault("frozen for 60 s", _name, quick=_name == "compute")(_frozen(_name))
