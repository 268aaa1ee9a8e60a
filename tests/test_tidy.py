"""The rules of the house that a program can check: see CONTRIBUTING.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kafkasim"
if not PACKAGE.is_dir():
    pytest.skip("the sources are elsewhere", allow_module_level=True)

FLOORS = [
    ["kernel", "metrics", "scenario"],
    ["results", "hosts"],
    ["links"],
    ["network"],
    ["protocol"],
    ["connection", "messages", "topics", "group_sizes"],
    ["zookeeper"],
    ["clients"],
    ["controller"],
    ["broker"],
    ["board"],
    ["losses", "record_history", "record_keys", "divergence"],
    ["broker_collector"],
    ["client_collector"],
    ["waiting", "placing", "applications", "machines", "batch_trace"],
    ["books"],
    ["cluster"],
    ["mbeans"],
    ["gauges", "checks", "faults"],
    ["simulation"],
    ["report", "importers", "experiments"],
    ["cli"],
    ["__main__"],
]
"""From the ground up: a room imports its own modules and those of lower floors, nothing beside or above it."""

TYPES_ONLY = {
    ("links", "network"): "a transmission belongs to its channel",
    ("protocol", "connection"): "a request knows the connection that it travels on",
    ("applications", "cluster"): "parts of the building of a cluster that would make its file too long",
    ("waiting", "cluster"): "reads a cluster that is handed to it",
    ("books", "cluster"): "reads a cluster that is handed to it",
}
"""Arrows that point up, for annotations only."""

LINES = 400
LONG = {
    "broker/broker.py": 570,
    "broker/delayed_fetch.py": 430,
    "broker/fetcher.py": 475,
    "broker/replica_manager.py": 470,
    "clients/accumulator.py": 420,
    "clients/fetcher.py": 410,
    "clients/consumer.py": 420,
    "clients/membership.py": 415,
    "clients/network_client.py": 435,
    "clients/sender.py": 445,
    "cluster.py": 430,
    "controller/controller.py": 455,
    "metrics/latency.py": 470,
    "metrics/ledger.py": 560,
    "results.py": 440,
}
"""Files that hold one noun and need more lines for it; they may not grow much further."""

WALL_CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.process_time",
    "time.sleep",
    "datetime.now",
    "datetime.datetime.now",
    "datetime.utcnow",
    "datetime.date.today",
    "date.today",
}
UNSEEDED_MODULES = {"random", "secrets", "uuid"}
SEEDED_NUMPY = {"Generator", "PCG64", "SeedSequence"}


class Module:
    """A module of the package: its place, its text, its tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(PACKAGE).as_posix()
        self.text = path.read_text("utf-8")
        self.tree = ast.parse(self.text)

    @property
    def room(self) -> str:
        """The part of the house it belongs to; empty for the package itself."""
        first = self.name.split("/")[0].removesuffix(".py")
        return "" if first == "__init__" else first

    def place(self, node: ast.AST) -> str:
        """Where a finding is."""
        return f"kafkasim/{self.name}:{getattr(node, 'lineno', 1)}"

    def imports(self) -> Iterator[tuple[ast.AST, str, bool]]:
        """Every import: its node, the module, and whether it is for annotations only."""
        quiet: set[int] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                quiet.update(id(inner) for statement in node.body for inner in ast.walk(statement))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                yield node, "." * node.level + (node.module or ""), id(node) in quiet
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name, id(node) in quiet


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def of_calls(module: Module) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def test_arrows_point_down() -> None:
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for module in MODULES:
        if not module.room:
            continue  # the package's own names are looked up when they are used
        assert module.room in floor_of, f"{module.name}: on which floor is it?"
        for node, name, quiet in module.imports():
            if not name.startswith("kafkasim."):
                continue
            other = name.split(".")[1]
            if other == module.room or floor_of[other] < floor_of[module.room]:
                continue
            if not (quiet and (module.room, other) in TYPES_ONLY):
                wrong.append(f"{module.place(node)}: {module.room} imports {name}")
    assert not wrong


def test_exceptions_are_still_needed() -> None:
    used = {(m.room, name.split(".")[1]) for m in MODULES for _, name, _ in m.imports() if name.startswith("kafkasim.")}
    assert not set(TYPES_ONLY) - used


def test_imports_name_the_package() -> None:
    wrong = [m.place(node) for m in MODULES for node, name, _ in m.imports() if name.startswith(".")]
    assert not wrong


def test_no_wall_clock_in_the_package() -> None:
    wrong = [
        f"{module.place(node)}: {name}()"
        for module in MODULES
        for node, name in of_calls(module)
        if name in WALL_CLOCKS
    ]
    assert not wrong


def test_no_randomness_but_named_streams() -> None:
    wrong = []
    for module in MODULES:
        for node, name, _ in module.imports():
            if name.split(".")[0] in UNSEEDED_MODULES:
                wrong.append(f"{module.place(node)}: imports {name}")
        for attribute in ast.walk(module.tree):
            if not isinstance(attribute, ast.Attribute):
                continue
            name = ast.unparse(attribute)
            if name == "os.urandom" or (
                name.startswith(("np.random.", "numpy.random.")) and attribute.attr not in SEEDED_NUMPY
            ):
                wrong.append(f"{module.place(attribute)}: {name}")
            elif attribute.attr in SEEDED_NUMPY and module.name != "kernel/streams.py" and "random" in name:
                if not isinstance(attribute.ctx, ast.Load) or "Generator" not in name:
                    wrong.append(f"{module.place(attribute)}: only kernel/streams.py makes generators")
    assert not wrong


def test_nothing_hangs_on_addresses_or_the_order_of_sets() -> None:
    wrong = []
    for module in MODULES:
        for node, name in of_calls(module):
            if name in ("id", "hash"):
                wrong.append(f"{module.place(node)}: {name}()")
        for loop in ast.walk(module.tree):
            if isinstance(loop, ast.For | ast.comprehension):
                over = loop.iter
                if isinstance(over, ast.Set | ast.SetComp) or (
                    isinstance(over, ast.Call) and ast.unparse(over.func) in ("set", "frozenset")
                ):
                    wrong.append(f"{module.place(over)}: iterates over a set")
    assert not wrong


def test_no_state_at_module_level() -> None:
    wrong = []
    for module in MODULES:
        wrong += [f"{module.place(n)}: global" for n in ast.walk(module.tree) if isinstance(n, ast.Global)]
        for node in module.tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            mutable = isinstance(node.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
            for target in targets:
                if mutable and isinstance(target, ast.Name) and target.id != "__all__" and not target.id.isupper():
                    wrong.append(f"{module.place(node)}: {target.id} is no constant")
    assert not wrong


def test_files_stay_short() -> None:
    wrong = []
    for module in MODULES:
        lines = module.text.count("\n")
        if lines > LONG.get(module.name, LINES):
            wrong.append(f"kafkasim/{module.name}: {lines} lines, at most {LONG.get(module.name, LINES)}")
    assert not wrong


def test_long_files_are_still_long() -> None:
    known = {module.name: module.text.count("\n") for module in MODULES}
    assert not [name for name in LONG if known.get(name, 0) <= LINES]


def classes() -> dict[str, ast.ClassDef]:
    """All classes at the top of modules, by name (Kafka's and ZooKeeper's Request are both documented)."""
    return {node.name: node for m in MODULES for node in m.tree.body if isinstance(node, ast.ClassDef)}


def says(known: dict[str, ast.ClassDef], name: str, method: str) -> bool:
    """Whether ``method`` has a docstring in the class called ``name`` or above it."""
    node = known.get(name)
    if node is None:
        return False
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == method and ast.get_docstring(member):
            return True
    return any(says(known, ast.unparse(base).split(".")[-1], method) for base in node.bases)


def test_modules_and_public_things_say_what_they_are() -> None:
    known = classes()
    missing = [f"kafkasim/{m.name}" for m in MODULES if m.text.strip() and ast.get_docstring(m.tree) is None]
    for module in MODULES:
        for node in module.tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                missing.append(f"{module.place(node)}: {node.name}")
            for member in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    if not ast.get_docstring(member) and not says(known, node.name, member.name):
                        missing.append(f"{module.place(member)}: {node.name}.{member.name}")
    assert not missing


def test_nothing_is_left_for_later() -> None:
    marks = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]
    wrong = [
        f"kafkasim/{module.name}:{number}: {mark}"
        for module in MODULES
        for number, line in enumerate(module.text.splitlines(), 1)
        for mark in marks
        if mark in line
    ]
    assert not wrong
