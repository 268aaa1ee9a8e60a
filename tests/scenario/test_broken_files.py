"""Every broken file gives its whole list of mistakes, with places, and nothing else."""

from pathlib import Path

import pytest

from kafkasim.scenario import Scenario, ScenarioError

BROKEN = Path(__file__).parent / "broken"
FILES = sorted(path.name for path in BROKEN.glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_gives_all_its_mistakes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(name)
    expected = (BROKEN / name).with_suffix(".expected").read_text("utf-8")
    assert str(caught.value) + "\n" == expected


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 15


def test_a_tag_constructs_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "was-here"
    text = f"name: x\nduration: 1s\ncluster: !!python/object/apply:os.system ['touch {trace}']\n"
    with pytest.raises(ScenarioError):
        Scenario.loads(text)
    assert not trace.exists()


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text("name: x\n" + "# filler\n" * 200_000)
    with pytest.raises(ScenarioError, match="at most 1048576 bytes"):
        Scenario.load(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: \xff\xfe", "not text in UTF-8"),
        (b"name: x\x00", "not YAML"),
        (b"[" * 5000, "nested deeper"),
        (b"{a: " * 5000, "nested deeper"),
        (b"a: 1\n---\nb: 2\n", "one document"),
        (b"? [a, b]\n: 1\n", "a key must be"),
        (b"a: &x 1\n*x : 2\n", "a key must be"),
        (b"just text", "a scenario is a mapping"),
        (b"\t- x: [", "not YAML"),
        (b"a: 99999999999999999999999999999999\n", "more than 25 digits"),
        (b"%YAML 1.1\n%YAML 1.1\n---\na: 1", "not YAML"),
    ],
)
def test_hostile_bytes_are_a_mistake_not_a_crash(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_bytes(content)
    with pytest.raises(ScenarioError, match=message):
        Scenario.load(file)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        Scenario.load(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match="is a directory"):
        Scenario.load(tmp_path)
