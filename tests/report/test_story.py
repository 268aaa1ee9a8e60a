"""The story: every step of the chain of causes, in order, whatever the scenario."""

from __future__ import annotations

from report_samples import EVIL, TOPIC, broken, empty, hostile

from kafkasim.metrics.availability import AvailabilityBook
from kafkasim.metrics.latency import LatencyBook
from kafkasim.metrics.ledger import Ledger
from kafkasim.metrics.series import SeriesBook
from kafkasim.metrics.timeline import Timeline
from kafkasim.report.reading import read
from kafkasim.report.story import Paragraph, tell, text
from kafkasim.results import Result


def paragraph(story: list[Paragraph], title: str) -> list[str]:
    return [one.full for found in story if title in found.title for one in found.sentences]


def test_a_broker_failure_is_told_from_the_crash_to_the_recovery() -> None:
    result = broken()
    story = tell(read(result))
    told = paragraph(story, "crash broker 1")
    steps = [
        "At 55.000 s broker 1 was killed.",
        "4 connections of clients were reset",
        "its ZooKeeper session expired",
        "/brokers/ids/1 was deleted",
        "the controller (broker 2) noticed it 1.5 ms later (dead [1]",
        f"elected broker 3 as leader of {TOPIC}-0 (leader epoch 1) and leaders of 16 partitions of __consumer_offsets",
        f"a replica left the ISR of {TOPIC}-1 (now [2])",
        f"(acks=all) could write to {TOPIC}-1 again",
        f"twitter-app-2 was the first client to learn who leads {TOPIC}-0 now",
        f"(acks=all) could write to {TOPIC}-0 again",
        f"timeline-api could read from {TOPIC}-0 again",
        "broker 1 was started again",
        "broker 1 had registered again",
        f"broker 1 cut its log of {TOPIC}-0 to offset 550000: 13 records",
        f"a replica came back to the ISR of {TOPIC}-0 (now [3, 1])",
        "all was well again, 49.1 s after it began",
    ]
    places = [next(i for i, sentence in enumerate(told) if step in sentence) for step in steps]
    assert places == sorted(places), told
    why = {step: told[place] for step, place in zip(steps, places, strict=True)}
    assert "until broker 3 had taken over" in why[f"(acks=all) could write to {TOPIC}-0 again"]
    assert "its leader was up, but a member of the ISR was missing" in why[f"(acks=all) could write to {TOPIC}-1 again"]
    assert "since 60.000 s (8.26 s)" in why[f"(acks=all) could write to {TOPIC}-1 again"]
    ordered = paragraph(story, "elect preferred leaders")
    assert ordered[0] == "At 150.000 s the preferred leaders of all partitions were asked for."
    assert "No client was kept from writing or reading for longer than the threshold of the report." in ordered


def test_each_sentence_of_a_row_leads_to_it() -> None:
    reading = read(broken())
    sentences = [one for found in tell(reading) for one in found.sentences if one.row is not None]
    assert len(sentences) > 15
    assert {one.row for one in sentences} <= {moment.id for moment in reading.moments}


def test_the_ledger_is_told() -> None:
    told = text(read(broken()))
    assert "Of 2,400,000 records created, 2,399,960 were acknowledged, none failed, and 40 were in flight" in told
    assert "No acknowledged record was lost." in told
    assert "timeline-api was given 2,399,900 of 2,399,960 readable records once and none more than once" in told
    lost = text(read(broken(lost=12)))
    assert "It cost 12 acknowledged records of TweetsPublicados." in lost
    assert "12 acknowledged records were lost." in lost and "No acknowledged record was lost" not in lost
    assert "Expected, but not so: no acknowledged record is lost." in lost


def test_a_run_in_which_nothing_happened_has_a_story() -> None:
    told = text(read(empty()))
    assert "Nothing broke: the scenario has no event." in told
    assert "No record was created." in told


def test_what_it_has_no_words_for_is_told_by_name() -> None:
    story = tell(read(hostile()))
    assert any(EVIL.replace("\x1b", "·").split("_")[0] in one for one in paragraph(story, "2.000 s"))
    assert "It was not over when the run ended at 20.000 s." in paragraph(story, "2.000 s")
    unexplained = paragraph(story, "Outages that no event of the scenario caused")
    assert len(unexplained) == 1 and "for 14 s and still could not at the end of the run" in unexplained[0]
    assert "\x1b" not in text(read(hostile()))


def test_another_scenario_another_story() -> None:
    """A ZooKeeper server dies, the controller moves, a start fails, nobody can lead a partition."""
    timeline = Timeline()
    fault = timeline.add(10.0, "zookeeper 2", "fault", "crash (zookeeper leader)")
    vote = timeline.add(10.2, "zookeeper 3", "election_won", "epoch 4", fault)
    expired = timeline.add(20.0, "zookeeper 3", "session_expired", "broker 5", vote)
    controller = timeline.add(20.1, "controller 6", "controller_elected", "controller epoch 2", expired)
    timeline.add(20.2, "controller 6", "leader_elected", "T-0: leader 5 -> none, leader epoch 9", controller)
    failed = timeline.add(25.0, "broker 5", "start_failed", "NODEEXISTS /brokers/ids/5", expired)
    timeline.add(33.0, "broker 5", "start_failed", "NODEEXISTS /brokers/ids/5", failed)
    timeline.add(40.0, "controller 6", "fetch_backoff", "T-0 NONE")
    availability = AvailabilityBook(lambda *what: expired)
    tracker = availability.tracker("produce", "app", "T", 0, 0.2, acks="1")
    tracker.completed(20.0, 19.9)
    tracker.finish(60.0, 20.5)
    result = Result.collect(
        {"name": "other", "seed": 3},
        end_s=60.0,
        ledger=Ledger().close(),
        latency=LatencyBook(0.0, 60.0),
        availability=availability,
        series=SeriesBook(),
        timeline=timeline,
        events=[{"id": fault, "at_s": 10.0, "event": "crash", "target": "zookeeper 2", "over_s": None}],
    )
    story = tell(read(result))
    told = paragraph(story, "crash zookeeper 2")
    assert told == [
        "At 10.000 s zookeeper 2 was killed.",
        "At 10.200 s zookeeper 3: election won (epoch 4).",
        "At 20.000 s a ZooKeeper session (broker 5) expired, 10 s after the event.",
        "At 20.100 s controller 6 became the controller (controller epoch 2).",
        "At 20.200 s the controller (broker 6) elected nobody as leader of T-0: no replica of its ISR is up.",
        "At 25.000 s the first of 2 starts failed (NODEEXISTS /brokers/ids/5): at 25.0 s and 33.0 s.",
        "At 60.000 s app (acks=1) still could not write to T-0, since 20.500 s (39.5 s).",
        "It was not over when the run ended at 60.000 s.",
    ]
    assert paragraph(story, "What happened by itself") == ["At 40.000 s controller 6: fetch backoff (T-0 NONE)."]
