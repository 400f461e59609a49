"""The broker's queues and exchanges, as they are declared and told."""

from foz.canon.model import Placement
from foz.scale.topology import dead, lane, later, told, topology


def test_every_lane_is_durable_bounded_and_has_dead_letters() -> None:
    """Each lane is a quorum queue that refuses what is too much, and whose rejects reach an exchange with a queue."""
    found = topology()
    queues = {queue.name: queue.arguments for queue in found.queues}
    exchanges = {exchange.name: exchange.queue for exchange in found.exchanges}

    for placement in Placement:
        arguments = queues[lane(placement)]
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-overflow"] == "reject-publish"
        assert int(arguments["x-max-length"]) > 0
        assert int(arguments["x-delivery-limit"]) > 0
        assert exchanges[str(arguments["x-dead-letter-exchange"])] == dead()
        assert arguments["x-dead-letter-strategy"] == "at-least-once"


def test_what_comes_later_goes_back_to_its_lane() -> None:
    """The queue of what comes later dead-letters to the default exchange by the message's own routing key."""
    held = next(queue for queue in topology().queues if queue.name == later())

    assert held.arguments["x-dead-letter-exchange"] == ""
    assert "x-dead-letter-routing-key" not in held.arguments


def test_all_names_begin_alike() -> None:
    """Every queue and exchange of a topology begins with its name, so that several can stand on one broker."""
    found = topology("blue")

    names = [queue.name for queue in found.queues] + [exchange.name for exchange in found.exchanges]
    assert all(name.startswith("blue.jobs.") for name in names)


def test_the_words_name_everything() -> None:
    """What is printed has every queue with its arguments, and every exchange."""
    found = topology()
    words = told(found)

    for queue in found.queues:
        assert f"queue {queue.name} (durable)" in words
        assert all(f"{name} = {value!r}" in words for name, value in queue.arguments.items())
    for exchange in found.exchanges:
        assert f"exchange {exchange.name}" in words
