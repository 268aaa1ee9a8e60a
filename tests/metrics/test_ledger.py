"""The ledger's terms, and that its identities fail when they must."""

from __future__ import annotations

import random

import pytest

from kafkasim.metrics.ledger import Ledger, StreamAccount


def failing(closed: dict) -> list[str]:
    return [i["name"] for i in closed["identities"] if not i["holds"]]


def test_every_term_of_one_stream() -> None:
    ledger = Ledger()
    ledger.subscribe("api", "t")
    stream = ledger.open_stream("app", 0, "t", 0)
    api = stream.group("api")
    stream.acknowledge(0, 600)
    stream.fail(600, 650)
    stream.settle(0, 100)
    api.deliver(0, 150)
    api.deliver(140, 200)
    ledger.lost(stream, 500, 560, cause=4)
    ledger.lost(stream, 560, 600, cause=9, readable=True)
    # 600–620 were stored and then failed at the client.
    log = [(stream, 100, 300, 100), (stream, 300, 500, 300), (stream, 600, 620, 500)]
    ledger.scan_log("t", 0, log, 520, 450, positions={"api": (0, 250)}, settled_below=100)
    stream.close(created=700, in_flight=50)
    closed = ledger.close()
    assert failing(closed) == []
    expected = {
        "created": 700,
        "acknowledged": 600,
        "failed": 50,
        "in_flight": 50,
        "readable": 450,
        "above_high_watermark": 50,
        "offline": 0,
        "expired": 0,
        "acknowledged_lost": 100,
        "in_transit": 0,
        "readable_unacknowledged": 0,
        "extra_copies": 0,
    }
    assert {name: closed[name] for name in expected} == expected
    assert closed["losses"] == [
        {"topic": "t", "cause": 4, "records": 60},
        {"topic": "t", "cause": 9, "records": 40},
    ]
    group = closed["groups"]["api"]
    assert group["readable"] == 450 + 40
    assert (group["delivered_once"], group["delivered_more_than_once"]) == (190, 10)
    assert (group["pending_at_end"], group["never_delivered"]) == (200, 50 + 40)
    assert group["never_delivered_because"] == {"lost": 40, "expired": 0, "passed": 50}
    assert closed["topics"]["t"]["acknowledged_lost"] == 100


def test_truncated_and_sent_again_is_not_lost_but_a_second_copy_is_counted() -> None:
    ledger = Ledger()
    stream = ledger.open_stream("app", 0, "t", None)
    stream.acknowledge(0, 100)
    ledger.lost(stream, 40, 60, cause=1)
    batches = [(stream, 0, 40, 0), (stream, 60, 100, 40), (stream, 40, 60, 80), (stream, 95, 100, 100)]
    ledger.scan_log("t", 0, batches, 105, 105)
    stream.close(100, 0)
    closed = ledger.close()
    assert failing(closed) == []
    assert (closed["acknowledged_lost"], closed["readable"], closed["extra_copies"]) == (0, 100, 5)


def test_a_settled_record_stays_when_an_old_leader_truncates_its_copy() -> None:
    ledger = Ledger()
    stream = ledger.open_stream("app", 0, "t", 0)
    stream.acknowledge(0, 100)
    stream.settle(0, 100)
    ledger.lost(stream, 90, 100, cause=1)
    ledger.scan_log("t", 0, [], 100, 100, settled_below=100)
    stream.close(100, 0)
    closed = ledger.close()
    assert failing(closed) == [] and closed["acknowledged_lost"] == 0
    # An unclean election below what was settled is told by name.
    ledger = Ledger()
    stream = ledger.open_stream("app", 0, "t", 0)
    stream.acknowledge(0, 100)
    stream.settle(0, 100)
    stream.unsettle(90, 100)
    ledger.lost(stream, 90, 100, cause=1)
    ledger.scan_log("t", 0, [], 90, 90, settled_below=90)
    stream.close(100, 0)
    closed = ledger.close()
    assert failing(closed) == [] and closed["acknowledged_lost"] == 10


def test_the_last_truncation_is_the_cause() -> None:
    ledger = Ledger()
    stream = ledger.open_stream("app", 0, "t", 0)
    stream.acknowledge(0, 10)
    ledger.lost(stream, 0, 10, cause=1)
    ledger.lost(stream, 5, 10, cause=2)
    stream.close(10, 0)
    assert ledger.close()["losses"] == [
        {"topic": "t", "cause": 1, "records": 5},
        {"topic": "t", "cause": 2, "records": 5},
    ]


def test_offline_and_in_transit() -> None:
    ledger = Ledger()
    ledger.subscribe("api", "t")
    a = ledger.open_stream("app", 0, "t", 0)
    b = ledger.open_stream("app", 0, "t", 1)
    a.acknowledge(0, 100)
    a.group("api").deliver(0, 30)
    b.acknowledge(0, 50)
    b.transit(45, 50)
    ledger.scan_log("t", 0, [(a, 0, 100, 0)], 100, 80, online=False, positions={"api": (0, 30)})
    ledger.scan_log("t", 1, [(b, 0, 45, 0)], 45, 45, positions={"api": (0, 0)})
    a.close(100, 0)
    b.close(50, 0)
    closed = ledger.close()
    assert failing(closed) == []
    assert (closed["offline"], closed["readable"], closed["in_transit"]) == (100, 45, 5)
    group = closed["groups"]["api"]
    assert (group["readable"], group["delivered_once"], group["pending_at_end"]) == (125, 30, 95)


def test_a_group_counts_from_its_first_position_and_resets_skip() -> None:
    ledger = Ledger()
    ledger.subscribe("late", "t")
    ledger.subscribe("never", "t")
    stream = ledger.open_stream("app", 0, "t", 0)
    late = stream.group("late")
    stream.acknowledge(0, 100)
    late.deliver(40, 60)
    late.skip(60, 80)
    late.deliver(80, 90)
    ledger.scan_log("t", 0, [(stream, 0, 100, 0)], 100, 100, positions={"late": (40, 90)})
    stream.close(100, 0)
    closed = ledger.close()
    assert failing(closed) == []
    group = closed["groups"]["late"]
    assert group["readable"] == 60
    assert (group["delivered_once"], group["skipped_by_reset"], group["pending_at_end"]) == (30, 20, 10)
    assert closed["groups"]["never"]["readable"] == 0


def test_order_is_watched_within_a_partition() -> None:
    ledger = Ledger()
    api = ledger.open_stream("app", 0, "t", 0).group("api")
    for first, last in ((0, 10), (20, 30), (10, 20), (25, 35)):
        api.deliver(first, last)
    assert api.out_of_order == 10 and api.delivered_more_than_once.ranges() == [(25, 30)]
    api = ledger.open_stream("app", 0, "t", None).group("api")
    for first, last in ((0, 10), (20, 30), (10, 20)):
        api.deliver(first, last)
    assert api.out_of_order == 0, "records of several partitions have no order"


def simple() -> tuple[Ledger, StreamAccount]:
    ledger = Ledger()
    ledger.subscribe("api", "t")
    stream = ledger.open_stream("app", 0, "t", 0)
    stream.acknowledge(0, 100)
    stream.group("api").deliver(0, 100)
    stream.close(100, 0)
    return ledger, stream


@pytest.mark.parametrize(
    ("mistake", "names"),
    [
        ("none", []),
        ("created", ["created ="]),
        ("unnoted loss", ["acknowledged ="]),
        ("acknowledged twice", ["acknowledgements ="]),
        ("failed too", ["created =", "acknowledged and failed"]),
        ("thin air", ["acknowledged, failed or stored beyond", "acknowledged ="]),
        ("log end", ["records on the logs"]),
        ("delivered from nowhere", ["delivered and never on a log"]),
        ("no reach", ["api: readable"]),
    ],
)
def test_identities_fail_when_they_must(mistake: str, names: list[str]) -> None:
    ledger, stream = simple()
    log = [(stream, 0, 100, 0)]
    log_end = 100
    positions = {"api": (0, 100)}
    if mistake == "created":
        stream.close(101, 0)
    elif mistake == "unnoted loss":
        log = [(stream, 0, 90, 0)]
        log_end = 90
    elif mistake == "acknowledged twice":
        stream.acknowledge(5, 6)
    elif mistake == "failed too":
        stream.fail(3, 4)
    elif mistake == "thin air":
        stream.acknowledge(200, 201)
        stream.close(101, 0)
    elif mistake == "log end":
        log_end = 103
    elif mistake == "delivered from nowhere":
        stream.group("api").deliver(100, 101)
    ledger.scan_log("t", 0, log, log_end, log_end, positions=positions)
    if mistake == "no reach":
        # A record that the scan never placed for the group.
        stream.stored.add(100, 101)
        stream.acknowledge(100, 101)
        stream.close(101, 0)
    found = failing(ledger.close())
    for name in names:
        assert any(one.startswith(name) for one in found), (name, found)
    if not names:
        assert found == []


def test_identities_of_several_topics_are_named() -> None:
    ledger = Ledger()
    for topic in ("b", "a"):
        stream = ledger.open_stream("app", 0, topic, 0)
        stream.acknowledge(0, 10)
        ledger.scan_log(topic, 0, [(stream, 0, 10, 0)], 10, 10)
        stream.close(10 if topic == "a" else 11, 0)
    closed = ledger.close()
    assert list(closed["topics"]) == ["a", "b"]
    assert [name.split(":")[0] for name in failing(closed)] == ["created = acknowledged + failed + in_flight", "b"]
    with pytest.raises(RuntimeError, match="closed"):
        ledger.close()


def test_batches_out_of_place_are_refused() -> None:
    for log in ([(5, 10, 5), (0, 6, 0)], [(0, 10, 0), (10, 20, 9)], [(0, 11, 0)]):
        ledger, stream = simple()
        with pytest.raises(ValueError, match="out of place"):
            ledger.scan_log("t", 0, [(stream, *batch) for batch in log], 10, 10)


@pytest.mark.parametrize("seed", range(30))
def test_against_single_records(seed: int) -> None:
    """A random history of one partition, told to the ledger in ranges and kept here record by record."""
    draw = random.Random(seed)
    ledger = Ledger()
    ledger.subscribe("api", "t")
    stream = ledger.open_stream("app", 0, "t", 0)
    log: list[int] = []
    base: list[tuple[StreamAccount, int, int, int]] = []
    acknowledged: set[int] = set()
    ever_lost: dict[int, int] = {}
    sent = 0
    for step in range(40):
        n = draw.randint(1, 9)
        again = draw.random() < 0.15 and sent > n
        first = draw.randint(0, sent - n) if again else sent
        base.append((stream, first, first + n, len(log)))
        log += range(first, first + n)
        sent = max(sent, first + n)
        if draw.random() < 0.8 and not again:
            acknowledged |= set(range(first, first + n))
            stream.acknowledge(first, first + n)
        if draw.random() < 0.1 and base:
            gone = base.pop()
            log = log[: gone[3]]
            ledger.lost(stream, gone[1], gone[2], cause=step)
            ever_lost.update(dict.fromkeys(range(gone[1], gone[2]), step))
    high_watermark = draw.randint(0, len(log))
    position = draw.randint(0, high_watermark)
    for first in range(position):
        stream.group("api").deliver(log[first], log[first] + 1)
    ledger.scan_log("t", 0, base, len(log), high_watermark, positions={"api": (0, position)})
    stream.close(sent, sent - len(acknowledged))
    closed = ledger.close()
    assert failing(closed) == []
    readable = set(log[:high_watermark])
    assert closed["readable"] == len(acknowledged & readable)
    assert closed["above_high_watermark"] == len(acknowledged & set(log) - readable)
    lost = acknowledged - set(log)
    assert closed["acknowledged_lost"] == len(lost)
    causes = {loss["cause"]: loss["records"] for loss in closed["losses"]}
    assert causes == {c: sum(ever_lost[r] == c for r in lost) for c in {ever_lost[r] for r in lost}}
    assert closed["extra_copies"] == len(log) - len(set(log))
    assert closed["readable_unacknowledged"] == len(readable - acknowledged)
    group = closed["groups"]["api"]
    given = log[:position]
    assert group["delivered_more_than_once"] == len({r for r in given if given.count(r) > 1})
    assert group["pending_at_end"] == len(readable - set(given))
