"""A broker that refuses: alarms, full queues, and what an operator has deleted or forbidden."""

from urllib.parse import quote, urlsplit

from tests.faults.catalogue import QUEUES, Act, fault
from tests.faults.stage import Stage
from tests.support import broker_users

USERS = ("relay", "collector", "mailer", "compute", "tasks", "reconciler")


@fault("alarm for 30 s", "RabbitMQ's memory", quick=True)
def memory_alarm(stage: Stage) -> None:
    stage.stack.broker.raise_memory_alarm()
    stage.lasting(30)
    stage.stack.broker.clear_memory_alarm()


@fault("alarm for 30 s", "RabbitMQ's disk")
def disk_alarm(stage: Stage) -> None:
    stage.stack.broker.raise_disk_alarm()
    stage.lasting(30)
    stage.stack.broker.clear_disk_alarm()


def _full(queue: str) -> Act:
    def act(stage: Stage) -> None:
        stage.management.limit_queue(queue, 1)
        stage.lasting(15)
        stage.management.unlimit_queue(queue)

    return act


def _deleted(queue: str) -> Act:
    def act(stage: Stage) -> None:
        stage.management.delete_queue(queue)

    return act


def _forbidden(user: str) -> Act:
    def act(stage: Stage) -> None:
        name = urlsplit(stage.stack.broker_urls[user]).username or ""
        rights = stage.management.permissions(name)
        assert rights is not None
        stage.management.forbid(name)
        stage.management.drop_connections(name)
        stage.lasting(15)
        stage.management.permit(name, rights)

    return act


for _queue in ("compute", "mailer", "web.tasks", "web.results"):
    fault("full for 15 s", f"queue {_queue}")(_full(_queue))
for _queue in QUEUES:
    fault("deleted by hand", f"queue {_queue}", quick=_queue == "compute", deletes=True)(
        _deleted(_queue)
    )
for _user in USERS:
    fault("forbidden for 15 s", f"all permissions of {_user}")(_forbidden(_user))


@fault("deleted by hand", "exchange warren.tasks", deletes=True)
def tasks_exchange(stage: Stage) -> None:
    stage.management.delete("exchanges/warren/warren.tasks")


@fault("deleted by hand", "exchange warren.results.compute", deletes=True)
def results_exchange(stage: Stage) -> None:
    stage.management.delete("exchanges/warren/warren.results.compute")


@fault("deleted by hand", "binding of queue compute", deletes=True)
def binding(stage: Stage) -> None:
    path = "bindings/warren/e/warren.tasks/q/compute"
    for found in stage.management.get(path):
        stage.management.delete(f"{path}/{quote(found['properties_key'])}")


@fault("purged by hand", "queue compute")
def purged(stage: Stage) -> None:
    with stage.away(stage.stack.compute):
        stage.stack.compute.stop()
        stage.wait(2)
        stage.management.purge_queue("compute")
    stage.stack.compute.launch()


@fault("lost", "RabbitMQ's disk, with all that was in it", quick=True, deletes=True)
def wiped(stage: Stage) -> None:
    accounts = broker_users.accounts(stage.management)
    stage.stack.broker.wipe()
    stage.stack.broker.start()
    broker_users.restore(stage.management, accounts)
