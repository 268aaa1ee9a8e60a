"""Events that begin when something has happened, and expectations that say what has happened or not."""

from __future__ import annotations

import pytest

from kafkasim.scenario import Scenario
from kafkasim.scenario.conditions import FORMS, ConditionError, nearest_form, parse_condition
from kafkasim.simulation import simulate
from tests.faults.laboratory import Run, run
from tests.validation.runs import SCENARIOS

SHORT = "cluster.brokers.config.zookeeper.session.timeout.ms=6000"


def test_an_event_begins_after_its_condition_and_only_once():
    killed = run(
        "{when: high watermark of orders-0 reaches 200, after: 100ms, crash: broker 1, for: 20s}",
        "{when: broker 1 registers, freeze: broker 3, for: 2s}",
        "{when: leader of orders-2 changes, crash: broker 2}",
        duration=70, sets=(SHORT,),
    )  # fmt: skip
    (first, second) = killed.of("condition_met")
    assert first.detail.startswith("high watermark of orders-0 reaches 200")
    crash, freeze = killed.of("fault")
    assert crash.detail == "crash" and crash.time_s == pytest.approx(first.time_s + 0.1)
    # 20 records a second: the two hundredth is on its way at 10 s
    assert 9.9 < first.time_s < 10.1
    registered = killed.at("registered", "broker epoch", "broker 1")
    assert second.time_s == freeze.time_s == registered
    assert killed.chain(second)[1] == "registered"
    assert [event["event"] for event in killed.summary["events"]] == ["crash", "freeze"]
    (note,) = [text for text in killed.summary["warnings"] if "did not begin" in text]
    assert note == "crash did not begin: when leader of orders-2 changes: never happened"


def test_a_condition_that_is_met_too_late_is_told():
    late = run("{when: high watermark of orders-0 reaches 100, after: 50s, crash: broker 1}", duration=20)
    (note,) = [text for text in late.summary["warnings"] if "did not begin" in text]
    assert note.endswith(", too late") and not late.of("fault")


@pytest.fixture(scope="module")
def judged():
    """A leader is killed and returns: which conditions are met, and when."""
    happens = [
        "session of broker 1 expires", "broker 2 is elected leader of orders-0", "leader of orders-0 changes",
        "orders-0 has no leader", "isr of orders-0 shrinks to 2", "isr of orders-0 == [2, 3]",
        "isr of orders-0 grows to 3", "broker 1 registers", "broker 1 follows broker 2 in orders-0",
        "broker 3 follows broker 2 in orders-0", "high watermark of orders-1 reaches 500",
    ]  # fmt: skip
    never = [
        "session of broker 2 expires", "broker 3 is elected leader of orders-0", "leader of orders-1 changes",
        "orders-1 has no leader", "isr of orders-0 shrinks to 1", "broker 2 truncates orders-0",
        "broker 3 follows broker 1 in orders-0", "controller changes", "zookeeper leader changes", "broker 2 registers",
        "high watermark of orders-0 reaches 5000",
    ]  # fmt: skip
    text = (SCENARIOS / "incidents" / "calm.yaml").read_text("utf-8").split("\nexpect:")[0]
    text = text.replace("duration: 60s", "duration: 70s")
    text = text.replace("min.insync", "zookeeper.session.timeout.ms: 6000\n      min.insync")
    text += "\nevents:\n  - {at: 20s, crash: broker 1, for: 20s}\nexpect:\n"
    text += "".join(f"  - it happens that {one}\n" for one in happens + never)
    text += "".join(f"  - it never happens that {one}\n" for one in happens + never)
    result = simulate(Scenario.loads(text), 3)
    return happens, never, {row["text"]: row for row in result.summary["expectations"]}, Run(result)


def test_what_happens_is_told_apart_from_what_does_not(judged):
    happens, never, rows, _ = judged
    for one in happens:
        assert rows[f"it happens that {one}"]["holds"] and not rows[f"it never happens that {one}"]["holds"], one
        assert rows[f"it never happens that {one}"]["value"] > 0.0
    for one in never:
        assert not rows[f"it happens that {one}"]["holds"] and rows[f"it never happens that {one}"]["holds"], one
        assert rows[f"it happens that {one}"]["reason"] == "it never happened"


def test_conditions_are_met_when_their_rows_are_written(judged):
    _, _, rows, found = judged

    def met(text):
        return rows[f"it happens that {text}"]["value"]

    assert met("session of broker 1 expires") == found.at("session_expired", "broker 1")
    leader = found.of("leader_applied", "orders-0 epoch 1")[0].time_s
    assert met("leader of orders-0 changes") == met("broker 2 is elected leader of orders-0") == leader
    assert met("broker 1 registers") == found.at("registered", "broker epoch", "broker 1")
    assert 20.0 <= met("orders-0 has no leader") < 20.01
    assert met("isr of orders-0 grows to 3") >= found.of("isr_changed", "-> [1, 2, 3]")[0].time_s
    assert met("isr of orders-0 shrinks to 2") == met("isr of orders-0 == [2, 3]") < 30.0


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_condition(form):
    text = form.replace("TOPIC-P", "orders-0").replace("[N, M]", "[1, 2]")
    for letter, number in (("N", "1"), ("M", "2"), ("K", "2")):
        text = " ".join(number if word == letter else word for word in text.split(" "))
    assert parse_condition(text).text == text
    assert nearest_form(text.replace("i", "y", 1)) == form


@pytest.mark.parametrize(
    "text", ["", "broker 1", "broker one truncates orders-0", "isr of orders-0 == [1, 1]", "leader of orders changes"]
)
def test_other_sentences_are_none(text):
    with pytest.raises(ConditionError):
        parse_condition(text)
