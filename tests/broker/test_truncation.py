"""A follower whose log differs from its leader's, era by era (KIP-101, KIP-279, KIP-320, KIP-595)."""

from __future__ import annotations

import pytest

from kafkasim.broker.fetcher import ReplicaFetcher
from kafkasim.broker.fetcher_settings import FetcherSettings
from kafkasim.protocol import LIST_OFFSETS, OFFSET_FOR_LEADER_EPOCH, RecordBatch
from tests.broker.replication_world import World


def batch(base, epoch, count=5, stream=0):
    made = RecordBatch(stream, base, count, 100 * count, 0.0, 0.0, -1, -1, -1)
    made.base_offset, made.leader_epoch = base, epoch
    return made


def write(log, *epochs, shared=0, other=None):
    """Batches of five records, one for each epoch given; the first ``shared`` ones are ``other``'s own."""
    for position, epoch in enumerate(epochs):
        made = other.batches[position] if position < shared else batch(5 * position, epoch)
        log.assign_epoch(epoch, made.base_offset)
        log.append(made)


class Era:
    """Two brokers: 1 leads in epoch 3, broker 2 follows it with a log of its own."""

    def __init__(self, mine, theirs, shared=1, **settings):
        self.world = World(brokers=2)
        for node in self.world.nodes.values():
            for fetcher in node.fetchers.values():
                fetcher.shut_down()
            node.fetchers.clear()
        self.tp = self.world.tps[0]
        self.leader = self.world.nodes[1].partition(self.tp)
        self.follower = self.world.nodes[2].partition(self.tp)
        for partition in (self.leader, self.follower):
            partition.log.epochs.clear()
            partition.log.epoch_starts.clear()
        write(self.leader.log, *theirs)
        write(self.follower.log, *mine, shared=shared, other=self.leader.log)
        self.world.nodes[1].lead(self.tp, max(theirs), (1, 2))
        self.asked = []
        self.note = lambda: None
        self.answers_epochs = settings.pop("answers_epochs", True)
        self.world.nodes[1].listener.service = lambda request: 1e-5
        self.world.nodes[1].listener.handle = self.handle
        self.settings = FetcherSettings()
        for name, value in settings.items():
            setattr(self.settings, name, value)

    def handle(self, request):
        self.note()
        item = request.body[0]
        self.asked.append((request.api, getattr(item, "leader_epoch", None), item.current_leader_epoch))
        if request.api == LIST_OFFSETS:
            item.offset = self.leader.log.log_end_offset
        else:
            item.end_epoch, item.end_offset = self.leader.log.end_offset_for(item.leader_epoch)
            if not self.answers_epochs:
                item.end_epoch = -1
        request.response_bytes = 40
        self.world.nodes[1].server.respond(request, self.world.env.now)
        return 0.0

    def run(self, seconds=0.4):
        node = self.world.nodes[2]
        fetcher = ReplicaFetcher(
            self.world.env.scheduler, self.world.network, self.world, node.machine, 2, 1, self.settings, node.notes
        )
        node.fetchers[1] = fetcher
        self.follower.become_follower(1, self.leader.leader_epoch, 0, (1, 2))
        fetcher.add(self.follower)
        self.world.env.run(until=seconds)
        return self

    def agrees(self):
        pairs = zip(self.leader.log.batches, self.follower.log.batches, strict=False)
        return all(mine is theirs for mine, theirs in pairs)


ASKS = {"truncates_on_fetch": False}
ONCE = {**ASKS, "asks_epoch_again": False, "answers_epochs": False, "fences": False}


@pytest.mark.parametrize("settings", [{}, ASKS, ONCE])
def test_a_tail_that_the_leader_does_not_have_is_cut(settings):
    """Epoch 0 is common; the follower has two batches more of it, the leader went on in epoch 1."""
    era = Era((0, 0, 0), (0, 1, 1, 1), **settings).run()
    assert era.agrees() and era.follower.log.log_end_offset == 20
    assert [base for _, rows in era.world.nodes[2].notes.cuts for base, _ in rows] == [5, 10]
    assert bool(era.asked) is not era.settings.truncates_on_fetch


def test_what_is_asked_is_one_request_before_the_first_fetch():
    era = Era((0, 0, 0), (0, 1, 1, 1), **ASKS)
    before = era.world.nodes[1].replicas.fetch_requests
    fetched = []
    era.note = lambda: fetched.append(era.world.nodes[1].replicas.fetch_requests - before)
    era.run()
    assert era.asked == [(OFFSET_FOR_LEADER_EPOCH, 0, 1)]
    assert fetched == [0]


# The follower has an epoch that the leader has never had, and the other way round: two changes in quick succession.
MINE, THEIRS = (0, 0, 2, 2), (0, 1, 1, 3)


def test_asking_once_leaves_logs_that_differ():
    """0.11 to 1.1: epoch 2 is unknown to the leader, which answers with the end of epoch 1."""
    era = Era(MINE, THEIRS, **ONCE).run()
    assert era.asked == [(OFFSET_FOR_LEADER_EPOCH, 2, -1)]
    assert not era.agrees()
    assert era.follower.log.log_end_offset == era.leader.log.log_end_offset == 20


def test_asking_again_until_both_name_the_same_epoch_does_not():
    """2.0 (KIP-279)."""
    era = Era(MINE, THEIRS, **ASKS).run()
    assert [epoch for _, epoch, _ in era.asked] == [2, 0]
    assert era.agrees() and era.follower.log.log_end_offset == 20


def test_nor_does_truncation_on_fetch():
    era = Era(MINE, THEIRS).run()
    assert era.agrees() and era.follower.log.log_end_offset == 20


@pytest.mark.parametrize("fences", [False, True])
def test_requests_carry_the_epoch_since_2_1(fences):
    """A follower that knows a newer epoch than its leader: without epochs nobody finds out."""
    era = Era((0,), (0, 0), **ASKS, fences=fences)
    era.leader.leader_epoch = 0
    answer = era.handle

    def check(request):
        for item in request.body:
            item.error = era.leader.epoch_error(item.current_leader_epoch)
        if any(item.error for item in request.body):
            era.asked.append((request.api, None, request.body[0].current_leader_epoch))
            request.response_bytes = 40
            era.world.nodes[1].server.respond(request, era.world.env.now)
            return 0.0
        return answer(request)

    era.world.nodes[1].listener.handle = check
    node = era.world.nodes[2]
    era.follower.become_follower(1, 7, 0, (1, 2))
    fetcher = node.fetchers[1] = ReplicaFetcher(
        era.world.env.scheduler, era.world.network, era.world, node.machine, 2, 1, era.settings, node.notes
    )
    fetcher.add(era.follower)
    era.world.env.run(until=0.4)
    assert era.asked[0][2] == (7 if fences else -1)
    assert era.follower.log.log_end_offset == (5 if fences else 10)
    assert bool(node.notes.backoffs) is fences


def test_a_log_without_epochs_goes_on_from_its_high_watermark():
    era = Era((0, 0), (0, 1, 1), **ASKS)
    era.follower.log.epochs.clear()
    era.follower.log.epoch_starts.clear()
    era.follower.high_watermark = 5
    era.run()
    assert not era.asked
    assert era.agrees() and era.follower.log.log_end_offset == 15


def test_a_leader_that_is_dead_delays_only_who_asks():
    era = Era((0, 0, 0), (0, 1, 1, 1), **ASKS)
    era.world.nodes[1].server.shut_down(0)
    era.run(0.9)
    fetcher = era.world.nodes[2].fetchers[1]
    (followed,) = fetcher.followed.values()
    assert followed.delayed and followed.truncating and not era.asked
    era.world.nodes[1].server.serve()
    era.world.env.run(until=3.5)
    assert era.agrees() and era.follower.log.log_end_offset == 20


@pytest.mark.parametrize(("halts", "unclean", "ends"), [(False, False, 10), (True, True, 10), (True, False, 15)])
def test_a_follower_that_is_ahead_asks_where_the_leader_ends(halts, unclean, ends):
    """Up to 0.10.2 nobody has epochs; before 2.0 it ends the process, unless elections may be unclean."""
    old = {"keeps_epochs": False, "truncates_on_fetch": False, "fences": False}
    era = Era((0, 0, 0), (0, 0), shared=2, **old, halts_ahead=halts)
    era.follower.unclean_allowed = unclean
    era.run()
    assert era.asked == [(LIST_OFFSETS, -1, -1)]
    assert era.follower.log.log_end_offset == ends
    assert [row[1:] for row in era.world.nodes[2].notes.halts] == ([("t-0", 10)] if ends == 15 else [])


@pytest.mark.parametrize("keeps_epochs", [False, True])
def test_batches_that_overlap_the_end(keeps_epochs):
    """Before 0.11 a log is read by the record; a batch that begins earlier does not fit later."""
    era = Era((0,), (0,), keeps_epochs=keeps_epochs, truncates_on_fetch=False, fences=False)
    extra = batch(5, 0, count=2, stream=1)
    era.follower.log.append(extra)
    longer = batch(5, 0, count=10, stream=2)
    era.leader.log.append(longer)
    if keeps_epochs:
        era.settings.truncates_on_fetch = True
    era.run()
    notes = era.world.nodes[2].notes
    if keeps_epochs:
        assert era.follower.log.log_end_offset == 7
        assert "does not fit" in notes.failures[0][2]
    else:
        assert era.follower.log.log_end_offset == 15
        tail = era.follower.log.batches[-1]
        assert (tail.base_offset, tail.count, tail.first, tail.stream) == (7, 8, 7, 2)
        assert tail.agrees(longer) and not extra.agrees(longer)


@pytest.mark.parametrize("fails_partitions", [False, True])
def test_before_2_3_such_a_batch_ends_the_thread(fails_partitions):
    era = Era((0,), (0,), fails_partitions=fails_partitions)
    era.follower.log.append(batch(5, 0, count=2, stream=1))
    era.leader.log.append(batch(5, 0, count=10, stream=2))
    era.run()
    fetcher = era.world.nodes[2].fetchers[1]
    assert fetcher.dead is not fails_partitions
    assert len(era.world.nodes[2].notes.failures) == 1
