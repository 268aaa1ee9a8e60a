"""The group coordinator by itself: requests in, answers out, over an in-memory offsets topic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kafkasim.broker.group import COMPLETING_REBALANCE, EMPTY, PREPARING_REBALANCE, STABLE, Group
from kafkasim.broker.group_coordinator import GroupCoordinator, coordinator_partition
from kafkasim.broker.group_rebalance import GroupSettings
from kafkasim.broker.offsets_store import OffsetsBatch, OffsetsRecord, OffsetsStore, batch_bytes
from kafkasim.kernel import Clock, Scheduler, Streams
from kafkasim.messages import (
    FindCoordinatorBody,
    HeartbeatBody,
    JoinGroupBody,
    JoinGroupReply,
    OffsetCommitBody,
    OffsetFetchBody,
    SyncGroupBody,
)
from kafkasim.protocol import (
    COORDINATOR_LOAD_IN_PROGRESS,
    COORDINATOR_NOT_AVAILABLE,
    FIND_COORDINATOR,
    GROUP_MAX_SIZE_REACHED,
    HEARTBEAT,
    ILLEGAL_GENERATION,
    INVALID_SESSION_TIMEOUT,
    JOIN_GROUP,
    LEAVE_GROUP,
    MEMBER_ID_REQUIRED,
    NONE,
    NOT_COORDINATOR,
    NOT_ENOUGH_REPLICAS,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    REBALANCE_IN_PROGRESS,
    REQUEST_TIMED_OUT,
    SYNC_GROUP,
    UNKNOWN_MEMBER_ID,
    UNSTABLE_OFFSET_COMMIT,
    Request,
    TopicPartition,
)

T0 = TopicPartition("t", 0, 0)
T1 = TopicPartition("t", 1, 1)


class MemoryStore(OffsetsStore):
    """Commits ``delay_s`` after the append, or answers ``error`` after ``delay_s``."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.delay_s = 0.001
        self.error = NONE
        self.leader = 1
        self.batches: dict[int, list[list[OffsetsRecord]]] = {}
        self.sizes: list[int] = []

    def append(
        self, tp: TopicPartition, records: list[OffsetsRecord], size_bytes: int, timeout_s: float,
        done: Callable[[int], None], cause: int,
    ) -> None:  # fmt: skip
        if self.error in (NONE, REQUEST_TIMED_OUT):
            self.batches.setdefault(tp.index, []).append(list(records))
            self.sizes.append(size_bytes)
        delay_s = timeout_s if self.error == REQUEST_TIMED_OUT else self.delay_s
        self.scheduler.call_at(self.scheduler.now + delay_s, done, self.error)

    def leader_of(self, tp: TopicPartition) -> int:
        return self.leader

    def is_leader(self, tp: TopicPartition) -> bool:
        return True

    def read_all(self, tp: TopicPartition) -> list[list[OffsetsRecord]]:
        return self.batches.get(tp.index, [])

    def log_bytes(self, tp: TopicPartition) -> int:
        return 1000 * len(self.read_all(tp))


class World:
    """One coordinator that owns all five partitions, and answers as (time, request)."""

    def __init__(
        self, version: tuple[int, ...] = (3, 9, 1), delay_ms: int = 3000, store: MemoryStore | None = None,
        settled: bool = True,
    ) -> None:  # fmt: skip
        self.scheduler = store.scheduler if store is not None else Scheduler()
        self.store = store or MemoryStore(self.scheduler)
        self.partitions = [TopicPartition("__consumer_offsets", p, 10 + p) for p in range(5)]
        self.coordinator = GroupCoordinator(
            self.scheduler, Streams(1), self.store, self.partitions,
            GroupSettings({"group.initial.rebalance.delay.ms": delay_ms}), version, Clock(0.0),
        )  # fmt: skip
        self.answers: dict[int, tuple[Request, float]] = {}
        if settled:
            for tp in self.partitions:
                self.coordinator.settle(tp, 0)

    @property
    def group(self) -> Group:
        return self.coordinator.groups["g"]

    def respond(self, request: Request) -> None:
        assert id(request) not in self.answers
        assert request.response_bytes > 0
        self.answers[id(request)] = (request, self.scheduler.now)

    def answered(self, request: Request) -> float | None:
        found = self.answers.get(id(request))
        return None if found is None else found[1]

    def run(self, until: float) -> None:
        self.scheduler.run_until(until)

    def join(
        self, member_id: str = "", client_id: str = "c", topics: tuple[str, ...] = ("t",), generation: int = -1,
        session_ms: int = 10000, rebalance_ms: int = 300000,
    ) -> Request:  # fmt: skip
        body = JoinGroupBody("g", member_id, client_id, session_ms, rebalance_ms, ("range",), topics, generation)
        request = Request(JOIN_GROUP, 200, body)
        self.coordinator.join_group(request, self.respond)
        return request

    def enter(self, client_id: str = "c", **options: int) -> Request:
        """Join without an id, then with the id that was handed out."""
        first = self.join("", client_id, **options)  # type: ignore[arg-type]
        assert first.error == MEMBER_ID_REQUIRED
        reply: JoinGroupReply = first.reply
        return self.join(reply.member_id, client_id, **options)  # type: ignore[arg-type]

    def sync(self, member_id: str, generation: int, assignment: dict[str, list[TopicPartition]]) -> Request:
        request = Request(SYNC_GROUP, 200, SyncGroupBody("g", member_id, generation, assignment))
        self.coordinator.sync_group(request, self.respond)
        return request

    def beat(self, member_id: str, generation: int) -> int:
        request = Request(HEARTBEAT, 95, HeartbeatBody("g", member_id, generation))
        self.coordinator.heartbeat(request, self.respond)
        return request.error

    def leave(self, member_id: str) -> int:
        request = Request(LEAVE_GROUP, 95, HeartbeatBody("g", member_id, -1))
        self.coordinator.leave_group(request, self.respond)
        return request.error

    def commit(self, member_id: str, generation: int, offset: int, tp: TopicPartition = T0) -> Request:
        request = Request(OFFSET_COMMIT, 128, OffsetCommitBody("g", member_id, generation, [(tp, offset, 0)]))
        self.coordinator.offset_commit(request, self.respond)
        return request

    def fetch(self) -> Request:
        request = Request(OFFSET_FETCH, 100, OffsetFetchBody("g", [T0, T1]))
        self.coordinator.offset_fetch(request, self.respond)
        return request

    def stable(self, *clients: str, **options: int) -> list[str]:
        """Bring these clients into a stable generation; returns member ids, the leader's first."""
        joins = [self.enter(client, **options) for client in clients]
        self.run(self.scheduler.now + 10)
        replies: list[JoinGroupReply] = [join.reply for join in joins]
        generation = replies[0].generation
        for reply in replies:
            self.sync(reply.member_id, generation, {replies[0].member_id: [T0]} if reply.members else {})
        self.run(self.scheduler.now + 0.01)
        assert self.group.state == STABLE
        return [reply.member_id for reply in replies]


def test_groups_belong_to_partitions_by_their_hash() -> None:
    assert coordinator_partition("timeline-api", 50) == 18
    assert coordinator_partition("g", 50) == 3  # 'g' is 103
    assert coordinator_partition("polygenelubricants", 50) == 0  # hashes to the smallest integer


def test_find_coordinator_names_the_partitions_leader() -> None:
    world = World()
    request = Request(FIND_COORDINATOR, 50, FindCoordinatorBody("g"))
    world.store.leader = 2
    world.coordinator.find_coordinator(request, world.respond)
    assert (request.error, request.reply) == (NONE, 2)
    request = Request(FIND_COORDINATOR, 50, FindCoordinatorBody("g"))
    world.store.leader = -1
    world.coordinator.find_coordinator(request, world.respond)
    assert request.error == COORDINATOR_NOT_AVAILABLE


@pytest.mark.parametrize(("starts", "expected"), [((0.0,), 3.0), ((0.0, 0.1), 6.0), ((0.0, 1.0, 4.0), 9.0)])
def test_the_initial_delay_is_extended_once_for_each_round_with_a_new_member(
    starts: tuple[float, ...], expected: float
) -> None:
    world = World()
    joins: list[Request] = []
    for start in starts:
        world.run(start + 1e-9)
        joins.append(world.enter())
    world.run(20)
    assert [world.answered(join) for join in joins] == [pytest.approx(expected, abs=0.002)] * len(joins)
    assert {join.reply.generation for join in joins} == {1}


def test_the_initial_delay_ends_at_the_rebalance_timeout() -> None:
    world = World()
    joins = [world.enter(rebalance_ms=4000)]
    for k in range(1, 5):
        world.run(k)
        joins.append(world.enter(rebalance_ms=4000))
    world.run(20)
    assert world.answered(joins[0]) == pytest.approx(4.0, abs=0.002)


def test_the_first_member_leads_and_learns_all_subscriptions() -> None:
    world = World()
    first, second = world.enter("a"), world.enter("b")
    world.run(10)
    leader: JoinGroupReply = first.reply
    follower: JoinGroupReply = second.reply
    assert leader.leader == leader.member_id == follower.leader
    assert [member for member, _ in leader.members] == [leader.member_id, follower.member_id]
    assert follower.members == []
    assert leader.protocol == "range"
    assert world.group.state == COMPLETING_REBALANCE
    waits = world.sync(follower.member_id, 1, {})
    assert world.answered(waits) is None
    brings = world.sync(leader.member_id, 1, {leader.member_id: [T0], follower.member_id: [T1]})
    assert world.answered(brings) is None  # the assignment is being committed
    world.run(10.01)
    assert (brings.reply, waits.reply) == ([T0], [T1])
    assert world.answered(brings) == world.answered(waits) == pytest.approx(10.001)
    assert world.group.state == STABLE


def test_before_2_2_no_member_id_is_required() -> None:
    world = World(version=(2, 1, 0))
    assert world.join().error == NONE
    world.run(4)
    assert world.group.generation == 1


def test_a_session_out_of_bounds_is_refused() -> None:
    assert World().join(session_ms=5000).error == INVALID_SESSION_TIMEOUT


def test_sessions_end_unless_something_resets_them() -> None:
    world = World()
    quiet, beating, committing = world.stable("a", "b", "c")
    start = world.scheduler.now
    for k in range(1, 13):
        world.run(start + k)
        if beating in world.group.members:
            world.beat(beating, 1)
            world.commit(committing, 1, k)
    assert quiet not in world.group.members
    assert sorted(world.group.members) == sorted([beating, committing])
    assert world.group.state == PREPARING_REBALANCE
    assert world.beat(beating, 1) == REBALANCE_IN_PROGRESS
    assert world.beat(quiet, 1) == UNKNOWN_MEMBER_ID
    assert world.beat(beating, 0) == ILLEGAL_GENERATION


def test_a_session_ends_when_its_time_is_over_to_the_millisecond() -> None:
    world = World()
    (member,) = world.stable("a")
    world.run(20)
    world.beat(member, 1)
    world.run(29.9985)
    assert member in world.group.members
    world.run(30.0015)
    assert member not in world.group.members
    world.run(30.1)
    assert world.group.state == EMPTY


def test_a_rebalance_waits_for_everybody_and_kicks_out_who_does_not_come() -> None:
    world = World()
    first, second = world.stable("a", "b", rebalance_ms=8000, session_ms=60000)
    start = world.scheduler.now
    joining = world.join(first, generation=1, rebalance_ms=8000, session_ms=60000)
    assert world.group.state == PREPARING_REBALANCE
    world.run(start + 7.9)
    assert world.answered(joining) is None
    world.run(start + 8.1)
    assert world.answered(joining) == pytest.approx(start + 8.0, abs=0.002)
    assert joining.reply.generation == 2
    assert second not in world.group.members


def test_a_rebalance_ends_as_soon_as_all_are_back() -> None:
    world = World()
    first, second = world.stable("a", "b")
    start = world.scheduler.now
    joining = world.join(second, topics=("t", "u"))  # changed subscription
    world.run(start + 2)
    assert world.beat(first, 1) == REBALANCE_IN_PROGRESS
    again = world.join(first)
    assert world.answered(joining) == world.answered(again) == world.scheduler.now
    assert again.reply.leader == first  # the leader stays


def test_an_id_that_was_handed_out_blocks_the_join_until_its_session_ends() -> None:
    world = World()
    (member,) = world.stable("a", session_ms=30000)
    start = world.scheduler.now
    assert world.join("", "b", session_ms=6000).error == MEMBER_ID_REQUIRED
    joining = world.join(member)
    world.run(start + 5.9)
    assert world.answered(joining) is None
    world.run(start + 6.1)
    assert world.answered(joining) == pytest.approx(start + 6.0, abs=0.002)


def test_a_member_that_leaves_starts_a_rebalance_at_once() -> None:
    world = World()
    first, second = world.stable("a", "b")
    assert world.leave(second) == NONE
    assert world.group.state == PREPARING_REBALANCE
    assert world.join(first).reply.generation == 2
    assert world.leave(second) == UNKNOWN_MEMBER_ID


def test_a_follower_that_rejoins_unchanged_gets_the_current_generation() -> None:
    world = World()
    _, second = world.stable("a", "b")
    joining = world.join(second)
    assert (joining.error, joining.reply.generation) == (NONE, 1)
    assert world.group.state == STABLE
    assert world.sync(second, 1, {}).error == NONE
    joining = world.join(second, generation=1)  # since 3.4 the metadata carry the generation: it has changed
    assert world.group.state == PREPARING_REBALANCE
    assert world.answered(joining) is None


@pytest.mark.parametrize(("version", "kicked"), [((3, 9, 1), True), ((2, 8, 2), True), ((2, 7, 2), False)])
def test_who_does_not_sync_is_removed_since_2_8_1(version: tuple[int, ...], kicked: bool) -> None:
    world = World(version=version)
    first, second = world.enter("a", rebalance_ms=7000), world.enter("b", rebalance_ms=7000)
    world.run(6.5)
    for k in range(7, 18):
        world.run(k)
        world.beat(first.reply.member_id, 1)
        world.beat(second.reply.member_id, 1)
    assert (first.reply.member_id not in world.group.members) is kicked


def test_an_assignment_that_is_not_committed_in_time_starts_the_rebalance_over() -> None:
    world = World()
    joining = world.enter()
    world.run(4)
    world.store.error = REQUEST_TIMED_OUT
    syncing = world.sync(joining.reply.member_id, 1, {joining.reply.member_id: [T0]})
    world.run(8.9)
    assert world.answered(syncing) is None
    world.run(9.1)
    assert syncing.error == REBALANCE_IN_PROGRESS
    assert world.group.state == PREPARING_REBALANCE


@pytest.mark.parametrize(
    ("append_error", "answer"),
    [
        (NOT_ENOUGH_REPLICAS, COORDINATOR_NOT_AVAILABLE),
        (NOT_LEADER_OR_FOLLOWER, NOT_COORDINATOR),
        (REQUEST_TIMED_OUT, REQUEST_TIMED_OUT),
    ],
)
def test_errors_of_a_commits_append_are_mapped(append_error: int, answer: int) -> None:
    world = World()
    (member,) = world.stable("a")
    start = world.scheduler.now
    world.store.error = append_error
    commit = world.commit(member, 1, 5)
    world.run(start + 6)
    assert commit.error == answer
    if append_error == REQUEST_TIMED_OUT:
        assert world.answered(commit) == pytest.approx(start + 5.0)
    assert world.fetch().reply == {}


def test_a_commit_is_visible_only_when_it_is_committed() -> None:
    world = World()
    (member,) = world.stable("a")
    world.store.delay_s = 2.0
    commit = world.commit(member, 1, 5)
    assert world.fetch().error == UNSTABLE_OFFSET_COMMIT
    world.run(world.scheduler.now + 2.1)
    assert commit.error == NONE
    assert world.fetch().reply == {T0.index: (5, 0)}
    assert world.commit(member, 0, 6).error == ILLEGAL_GENERATION
    assert world.commit("nobody", 1, 6).error == UNKNOWN_MEMBER_ID


def test_a_commit_between_join_and_sync_is_refused() -> None:
    world = World()
    joining = world.enter()
    world.run(4)
    assert world.commit(joining.reply.member_id, 1, 5).error == REBALANCE_IN_PROGRESS
    assert world.beat(joining.reply.member_id, 1) == NONE


def test_a_consumer_without_membership_may_commit_to_an_empty_group() -> None:
    world = World()
    commit = world.commit("", -1, 9)
    world.run(1)
    assert commit.error == NONE
    world.stable("a")
    assert world.commit("", -1, 10).error == UNKNOWN_MEMBER_ID
    assert world.fetch().reply == {T0.index: (9, 0)}


def test_a_new_coordinator_reads_the_group_from_the_log() -> None:
    old = World()
    first, second = old.stable("a", "b")
    old.commit(first, 1, 41)
    old.run(old.scheduler.now + 1)
    old.store.error = REQUEST_TIMED_OUT  # it stays in the log: seen after the next change of coordinator
    old.commit(first, 1, 42)
    assert old.fetch().error == UNSTABLE_OFFSET_COMMIT
    old.run(old.scheduler.now + 6)
    assert old.fetch().reply == {T0.index: (41, 0)}
    old.coordinator.close()

    new = World(store=old.store, settled=False)
    new.store.error = NONE
    new.coordinator.settings.load_start_s = 0.0
    assert new.beat(first, 1) == NOT_COORDINATOR
    before = new.scheduler.now
    for tp in new.partitions:
        new.coordinator.elected(tp, 1)
    assert new.coordinator.partition_of("g") is new.partitions[3]
    states = set()
    while new.scheduler.peek() < before + 1.0 and "g" not in new.coordinator.groups:
        states.add(new.commit(first, 1, 43).error)
        states.add(new.sync(first, 1, {}).error)
        assert new.beat(first, 1) in (NONE, NOT_COORDINATOR)
        new.scheduler.step()
    assert states == {NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, REBALANCE_IN_PROGRESS}
    assert new.fetch().reply == {T0.index: (42, 0)}
    assert new.group.state == STABLE
    assert new.group.generation == 1
    assert new.group.leader == first
    assert new.group.members[first].assignment == [T0]
    loaded = new.scheduler.now
    new.run(loaded + 9.9)  # members get fresh sessions
    assert list(new.group.members) == [first, second]
    new.run(loaded + 10.1)
    assert not new.coordinator.groups["g"].members


def test_a_coordinator_that_resigns_sends_waiting_members_away() -> None:
    world = World()
    joining = world.enter()
    world.run(1)
    world.coordinator.resigned(world.coordinator.partition_of("g"), 1)
    world.run(2)
    assert joining.error == NOT_COORDINATOR
    assert "g" not in world.coordinator.groups
    assert world.beat("x", 1) == NOT_COORDINATOR
    world.coordinator.elected(world.coordinator.partition_of("g"), 1)  # not newer: ignored
    world.run(3)
    assert world.beat("x", 1) == NOT_COORDINATOR
    world.coordinator.elected(world.coordinator.partition_of("g"), 2)
    world.run(4)
    assert world.beat("x", 1) == UNKNOWN_MEMBER_ID


def test_one_thread_loads_all_partitions_in_turn() -> None:
    world = World(settled=False)
    world.coordinator.settings.load_start_s = 0.0
    for tp in world.partitions:
        world.store.batches[tp.index] = [[("offset", f"group {k}", T0, k, 0)] for k in range(1000)]
    for tp in world.partitions:
        world.coordinator.elected(tp, 0)
    done = 0.0005 + 1000 * 1000 / 200e6 + 1000 * 2e-6
    world.run(3.5 * done)
    assert world.coordinator._loader.state(world.partitions[2]) == 2
    assert world.coordinator._loader.state(world.partitions[3]) == 1
    assert world.coordinator._loader.state(world.partitions[4]) == 0


def test_nothing_happens_after_the_process_is_gone() -> None:
    world = World()
    joining = world.enter()
    world.run(1)
    world.coordinator.close()
    world.run(1000)
    assert world.answered(joining) is None


def test_sizes_of_stored_batches() -> None:
    commit: OffsetsRecord = ("offset", "g", T0, 5, 0)
    # Header 61; record: length 1, attributes 1, two deltas 2, key length 1 + 12, value length 1 + 24, headers 1.
    assert batch_bytes([commit]) == 61 + 1 + 1 + 2 + 1 + (2 + 2 + 1 + 2 + 1 + 4) + 1 + 24 + 1
    assert batch_bytes([commit, commit]) == 2 * batch_bytes([commit]) - 61
    batch = OffsetsBatch([commit], batch_bytes([commit]), 1.0)
    assert (batch.count, batch.stream, batch.records) == (1, -1, [commit])


def test_a_full_group_takes_nobody_else():
    """``group.max.size``: who is in stays in, whoever comes on top is refused for good."""
    world = World()
    world.coordinator.settings.max_size = 2
    ids = world.stable("a", "b")
    assert world.group.state == STABLE
    assert world.join().error == GROUP_MAX_SIZE_REACHED
    assert world.join(ids[0]).error == NONE, "a member joins again"
    assert world.group.state == PREPARING_REBALANCE
    late = world.join("", "c")
    assert late.error == MEMBER_ID_REQUIRED, "one of two waits: there is room"
    assert world.join(ids[1]).error == NONE
    assert world.join(late.reply.member_id, "c").error == GROUP_MAX_SIZE_REACHED
    assert list(world.group.members) == ids
