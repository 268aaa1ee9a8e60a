"""Whatever breaks, in whatever order: a run ends, and every record's fate is known."""

from __future__ import annotations

import random

import pytest

from tests.faults.laboratory import run

TARGETS = (
    "broker 1", "broker 2", "broker 3", "zookeeper 1", "zookeeper 2", "zookeeper 3", "controller", "zookeeper leader",
    "random broker", "leader of orders-0",
)  # fmt: skip
BROKERS = ("broker 1", "broker 2", "broker 3", "controller", "random broker", "leader of orders-0")
PLACES = (
    "broker 1", "broker 2", "broker 3", "brokers", "zookeeper", "zookeeper 1", "zookeeper 2", "clients", "shop",
    "controller", "zookeeper leader",
)  # fmt: skip
OPTIONS = {"latency": ", add: 20ms, jitter: 5ms", "loss": ", probability: 0.05"}
VERBS = ("crash", "freeze", "power_loss", "stop", "partition", "one way", "latency", "loss")


def schedule(draws: random.Random) -> list[str]:
    """One to four events that overlap as they like."""
    events: list[tuple[float, str]] = []
    for _ in range(draws.randint(1, 4)):
        at, for_s = draws.uniform(10.0, 60.0), draws.choice([1, 3, 8, 15, 25, 40])
        verb = draws.choice(VERBS)
        if verb in ("crash", "freeze", "power_loss", "stop"):
            what = f"{verb}: {draws.choice(BROKERS if verb == 'stop' else TARGETS)}"
        else:
            one, other = draws.sample(PLACES, 2)
            ends = f"from: {one}, to: {other}"
            if verb != "one way":
                ends = f"between: {one}, and: {draws.choice([other, 'others'])}"
            what = f"{'partition' if verb == 'one way' else verb}: {{{ends}{OPTIONS.get(verb, '')}}}"
        events.append((at, f"{{at: {at:.3f}s, {what}, for: {for_s}s}}"))
    return [event for _, event in sorted(events)]


def check(seed: int) -> None:
    draws = random.Random(seed)
    events = schedule(draws)
    done = run(*events, duration=150, seed=seed, acks=draws.choice(["all", "1"]))
    broken = [identity for identity in done.ledger["identities"] if not identity["holds"]]
    assert not broken, events
    assert done.ledger["acknowledged_lost"] == sum(loss["records"] for loss in done.ledger["losses"]), events


@pytest.mark.parametrize("seed", range(8))
def test_random_faults_leave_the_accounts_in_order(seed: int) -> None:
    check(seed)


@pytest.mark.full
@pytest.mark.parametrize("block", range(10))
def test_random_faults_leave_the_accounts_in_order_for_many_seeds(block: int) -> None:
    for seed in range(100 + 20 * block, 120 + 20 * block):
        check(seed)
