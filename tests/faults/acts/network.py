"""The connection of each pair of processes: cut, half-open, slow."""

from tests.faults.catalogue import Act, fault
from tests.faults.stage import Stage

HALF_OPEN = 60.0
SLOW = 20.0
DELAY, JITTER = 0.2, 0.1  # seconds
PAIRS = (
    ("web", "database"),
    ("relay", "database"),
    ("relay", "broker"),
    ("collector", "database"),
    ("collector", "broker"),
    ("reconciler", "broker"),
    ("reconciler", "database"),
    ("mailer", "broker"),
    ("mailer", "database"),
    ("mailer", "smtp"),
    ("compute", "broker"),
    ("tasks", "broker"),
    ("tasks", "database"),
)


def _cut(process: str, server: str) -> Act:
    def act(stage: Stage) -> None:
        for _ in range(5):
            stage.link(process, server).cut()
            stage.wait(stage.random.uniform(0.2, 2))

    return act


def _half_open(process: str, server: str) -> Act:
    def act(stage: Stage) -> None:
        stage.link(process, server).hold()
        stage.lasting(HALF_OPEN, 10)
        stage.link(process, server).forget()

    return act


@fault("refused for 20 s", "every connection to RabbitMQ")
def broker_refuses(stage: Stage) -> None:
    for link in stage.links("broker"):
        link.refuse()
    stage.lasting(20)
    for link in stage.links("broker"):
        link.accept()


def _slow(server: str) -> Act:
    def act(stage: Stage) -> None:
        for link in stage.links(server):
            link.slow(DELAY, JITTER)
        stage.lasting(SLOW)
        for link in stage.links(server):
            link.slow(0)

    return act


for _server, _name in (("broker", "RabbitMQ"), ("database", "PostgreSQL"), ("smtp", "SMTP")):
    fault("200 ms ± 100 ms", f"every connection to {_name}")(_slow(_server))
for _process, _server in PAIRS:
    _away = (_process, _server) == ("web", "database")
    _pair = f"{_process} → {_server}"
    fault("cut five times", _pair, may_refuse=_away)(_cut(_process, _server))
    fault("half-open for 60 s", _pair, may_refuse=_away)(_half_open(_process, _server))
