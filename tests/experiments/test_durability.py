"""The table of durability and availability, against the textbook."""

from __future__ import annotations

import pytest

from kafkasim.cli.durability import lines
from kafkasim.experiments.durability import Cell, cell, settings


def textbook(acks: str, minimum: int, unclean: bool) -> Cell:
    """What Kafka's documentation promises, for three replicas."""
    waits = acks == "all"
    alone_is_enough = not waits or minimum == 1
    lost = {
        "leader_dies": not waits,  # what the followers had not fetched yet
        # A leader alone in the ISR: with clean elections its log waits for it, with unclean ones another one leads.
        # With acks=all and two in-sync replicas it was not given anything while it was alone.
        "isr_shrank_leader_dies": unclean and alone_is_enough,
        "one_down": False,
        "two_down": False,
    }
    two_are_enough = not waits or minimum <= 2
    writes = {
        "leader_dies": two_are_enough,
        "isr_shrank_leader_dies": unclean and two_are_enough,
        "one_down": two_are_enough,
        "two_down": alone_is_enough,
    }
    return Cell(acks, minimum, unclean, lost, writes)


TOLD = [("0", 1, False), ("1", 1, False), ("all", 1, True), ("all", 2, True), ("all", 3, False)]


@pytest.mark.parametrize(("acks", "minimum", "unclean"), TOLD)
def test_a_row_is_the_textbooks(acks: str, minimum: int, unclean: bool) -> None:
    assert cell(acks, minimum, unclean) == textbook(acks, minimum, unclean)


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("version", ["2.7", "3.9"])
def test_the_table_is_the_textbooks(seed: int, version: str) -> None:
    for row in settings():
        assert cell(*row, seed=seed, version=version) == textbook(*row)


def test_the_printed_table_says_what_was_found() -> None:
    said = lines([textbook("all", 2, False), textbook("1", 1, True)], "3.9")
    rows = [" ".join(line.split()) for line in said if line.startswith(("all ", "1 "))]
    assert rows == [
        "all 2 no kept / goes on kept / stops kept / goes on kept / stops",
        "1 1 yes LOST / goes on LOST / goes on kept / goes on kept / goes on",
    ]
