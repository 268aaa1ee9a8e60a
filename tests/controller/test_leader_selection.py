"""The election strategies, as the table of the protocol has them."""

from __future__ import annotations

from kafkasim.controller import leader_selection as select
from kafkasim.controller.leader_selection import Election
from kafkasim.messages import PartitionState
from kafkasim.protocol import TopicPartition


def state(replicas: tuple[int, ...], isr: tuple[int, ...], leader: int = 1) -> PartitionState:
    return PartitionState(TopicPartition("t", 0, 0), leader, 5, isr, 3, replicas)


def test_offline_takes_the_first_live_member_of_the_isr_in_the_order_of_the_assignment() -> None:
    assert select.offline(state((1, 2, 3), (3, 1, 2)), (2, 3), False) == Election(2, (3, 2), (2, 3))
    assert select.offline(state((1, 2, 3), (1, 3)), (2, 3), False) == Election(3, (3,), (2, 3))


def test_offline_without_a_live_member_of_the_isr() -> None:
    assert select.offline(state((1, 2, 3), (1,)), (2, 3), False) is None
    assert select.offline(state((1, 2, 3), (1,)), (2, 3), True) == Election(2, (2,), (2, 3))
    assert select.offline(state((1, 2, 3), (1,)), (), True) is None


def test_preferred_needs_the_first_replica_live_and_in_the_isr() -> None:
    assert select.preferred(state((1, 3, 2), (2, 1), 2), (1, 2)) == Election(1, (2, 1), (1, 3, 2))
    assert select.preferred(state((1, 2), (2,), 2), (1, 2)) is None
    assert select.preferred(state((1, 2), (2, 1), 2), (2,)) is None


def test_controlled_shutdown() -> None:
    leaving = {1: None}
    assert select.controlled_shutdown(state((1, 2, 3), (1, 2, 3)), (1, 2, 3), leaving) == Election(2, (2, 3), (1, 2, 3))
    assert select.controlled_shutdown(state((1, 2), (1,)), (1, 2), leaving) is None


def test_reassign_and_new_partition() -> None:
    assert select.reassign(state((4, 3, 1), (1, 3, 4)), (4, 3), (3, 4)) == Election(4, (1, 3, 4), (4, 3))
    assert select.reassign(state((4, 3, 1), (1,)), (4, 3), (3, 4)) is None
    assert select.new_partition((3, 1)) == Election(3, (3, 1), (3, 1))
    assert select.new_partition(()) is None


def test_an_offline_replica_leaves_the_isr_but_never_empties_it() -> None:
    assert select.without_replica(state((1, 2), (1, 2)), 2) == (1, (1,))
    assert select.without_replica(state((1, 2), (1, 2)), 1) == (-1, (2,))
    assert select.without_replica(state((1, 2), (1,)), 1) == (-1, (1,))
