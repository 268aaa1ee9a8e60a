"""The controller's memory: indexes by broker agree with the states, whatever happens."""

from __future__ import annotations

import random

from kafkasim.controller.context import ControllerContext
from kafkasim.protocol import TopicPartition


def test_indexes_agree_with_states() -> None:
    draws = random.Random(5)
    context = ControllerContext()
    context.live.update({1: 1, 2: 2, 3: 3, 4: 4})
    partitions = [TopicPartition("t", p, p) for p in range(12)]
    for step in range(600):
        tp = draws.choice(partitions)
        if tp.index not in context.assignment or draws.random() < 0.2:
            context.assign(tp, tuple(draws.sample([1, 2, 3, 4], 3)))
        else:
            replicas = context.assignment[tp.index]
            leader = draws.choice([-1, *replicas])
            context.put_state(context.decode(tp.index, (leader, step, replicas, 1), step))
        if draws.random() < 0.1:
            broker = draws.choice([1, 2, 3, 4])
            if broker in context.live:
                del context.live[broker]
            else:
                context.live[broker] = step
        for broker in (1, 2, 3, 4):
            hosted = [i for i, replicas in context.assignment.items() if broker in replicas]
            assert context.hosted_on([broker])[broker] == sorted(hosted)
            assert sorted(context.led.get(broker, {})) == sorted(
                i for i, state in context.states.items() if state.leader == broker
            )
            preferring = [i for i, replicas in context.assignment.items() if replicas[0] == broker]
            assert context.preferring.get(broker, 0) == len(preferring)
            away = [i for i in preferring if i in context.states and context.states[i].leader != broker]
            assert context.wants_preferred(broker) == sorted(away)
        assert context.with_offline_leader() == sorted(
            i for i, state in context.states.items() if not context.is_live(state.leader)
        )


def test_phases() -> None:
    context = ControllerContext()
    context.live[1] = 1
    partitions = [TopicPartition("t", p, p) for p in range(3)]
    for tp in partitions:
        context.assign(tp, (1, 2))
    context.put_state(context.decode(0, (1, 0, (1, 2), 1), 0))
    context.put_state(context.decode(1, (2, 0, (1, 2), 1), 0))
    context.initialise_phases()
    assert (list(context.offline), list(context.new)) == ([1], [2])
    assert context.to_bring_online() == [1, 2]
    context.shutting_down[1] = None
    assert not context.is_live(1) and context.brokers() == [1] and context.live_replicas(0) == ()
    context.reset()
    assert not context.assignment and not context.live and context.epoch == 0
