"""What must hold at every moment whatever breaks, checked after each event; random faults and a load for it.

Rules: one leader an epoch; what is committed is never lost and stands in the same order at
every server; an ephemeral does not outlive its session; a client hears of a change that it
watches before it reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafkasim.kernel import Streams
from kafkasim.kernel.streams import Stream
from kafkasim.network import LinkFault
from kafkasim.zookeeper.client import EXPIRED
from kafkasim.zookeeper.leader import Leader
from kafkasim.zookeeper.operations import Create, GetData, Outcome, SetData, WatchEvent
from kafkasim.zookeeper.role import Role
from kafkasim.zookeeper.server import Server
from kafkasim.zookeeper.transactions import Transaction
from tests.zookeeper.laboratory import Laboratory


class Broken(AssertionError):
    """A rule does not hold."""


class Checker:
    """Call :meth:`look` after every event; commits are seen as they happen."""

    def __init__(self, lab: Laboratory, load: Load) -> None:
        self.lab = lab
        self.load = load
        self.committed: list[Transaction] = []
        self.place: dict[int, int] = {}
        """zxid of a committed transaction → its place in the one order."""
        self.at: dict[int, int] = {}
        """Server → the last zxid that it has committed."""
        self.joined: dict[int, Role] = {}
        self.leaders: dict[int, int] = {}
        """Epoch → who leads it."""
        self.seen: dict[int, tuple[int, int, bool]] = {}
        self.start_zxid = lab.ensemble.server(1).tree.last_zxid
        for server in lab.ensemble.servers():
            self.at[server.id] = self.start_zxid
            self._watch(server)

    def _watch(self, server: Server) -> None:
        commit, begin = server.commit, server.tree_is_committed

        def committing(transaction: Transaction) -> None:
            self._commit(server, transaction)
            commit(transaction)

        def beginning() -> None:
            self._begin(server)
            begin()

        server.commit = committing  # type: ignore[method-assign]
        server.tree_is_committed = beginning  # type: ignore[method-assign]

    def _commit(self, server: Server, transaction: Transaction) -> None:
        """A server commits: the transaction next in the one order, or a new last one."""
        zxid = transaction.zxid
        place = self.place.get(zxid)
        if not server.role.serving and self.joined.get(server.id) is not server.role:
            self._begin(server)  # commits may come before UPTODATE
        before = self.at[server.id]
        if place is None:
            if self.committed and zxid <= self.committed[-1].zxid:
                raise Broken(f"{server.name} commits {zxid:#x} behind {self.committed[-1].zxid:#x}")
            place = self.place[zxid] = len(self.committed)
            self.committed.append(transaction)
        elif self.committed[place] is not transaction:
            raise Broken(f"{server.name} commits another {zxid:#x}")
        last = self.committed[place - 1].zxid if place else self.start_zxid
        if before != last:
            raise Broken(f"{server.name} commits {zxid:#x} right after {before:#x} instead of {last:#x}")
        self.at[server.id] = zxid

    def _begin(self, server: Server) -> None:
        """A server serves: its history holds all that was committed; a leader's decides what else is."""
        tree = server.tree
        history = {transaction.zxid: transaction for transaction in tree.committed_log}
        for transaction in reversed(self.committed):
            if transaction.zxid <= tree.log_base:
                break
            if transaction.zxid > tree.last_zxid and not isinstance(server.role, Leader):
                continue  # a commit that is on its way to this follower
            if history.get(transaction.zxid) is not transaction:
                raise Broken(f"{server.name} has lost {transaction.zxid:#x}, which was committed")
        newest = self.committed[-1].zxid if self.committed else self.start_zxid
        for transaction in tree.committed_log:
            if transaction.zxid > newest and isinstance(server.role, Leader):
                self.place[transaction.zxid] = len(self.committed)
                self.committed.append(transaction)
            elif transaction.zxid > self.start_zxid and transaction.zxid not in self.place:
                raise Broken(f"{server.name} has {transaction.zxid:#x}, which nobody has committed")
        if self.joined.get(server.id) is not server.role:
            self.joined[server.id] = server.role
            self.at[server.id] = max(tree.last_zxid, self.start_zxid)

    def look(self) -> None:
        """After an event: only what has changed is looked at."""
        for server in self.lab.ensemble.servers():
            tree, role = server.tree, server.role
            now = (tree.last_zxid, id(role), role.serving)
            if self.seen.get(server.id) == now:
                continue
            self.seen[server.id] = now
            for owner in tree.ephemerals:
                if owner not in tree.sessions:
                    raise Broken(f"{server.name} keeps ephemerals of {owner:#x}, whose session is over")
            if role.serving and isinstance(role, Leader):
                led_by = self.leaders.setdefault(role.epoch, server.id)
                if led_by != server.id:
                    raise Broken(f"{server.name} and zookeeper {led_by} lead epoch {role.epoch}")


class Load:
    """Writers that read back, owners of ephemerals that die and return, a watcher."""

    def __init__(self, lab: Laboratory) -> None:
        self.lab = lab
        self.written = dict.fromkeys(("a", "b"), 0)
        self.acknowledged = dict(self.written)
        self.errors: list[BaseException] = []
        self.heard = 0
        for name in self.written:
            lab.ensemble.put(f"/{name}", 0)
        for name in self.written:
            self._run(self._write(name, lab.client(name, None, timeout_s=30.0)))
        self._run(self._own(lab.client("owner", None, timeout_s=4.0)))
        events: list[WatchEvent] = []
        self._run(self._observe(lab.client("watcher", None, timeout_s=30.0, on_watch=events.append), events))

    def _run(self, life: Any) -> None:
        self.lab.env.process(self._guarded(life))

    def _guarded(self, life: Any) -> Any:
        try:
            yield from life
        except Broken as error:
            self.errors.append(error)

    def _write(self, name: str, client: Any) -> Any:
        path = f"/{name}"
        while True:
            self.written[name] += 1
            value = self.written[name]
            outcomes: list[Outcome] = yield client.submit([SetData(path, value), GetData(path)])
            if outcomes[0].error is not None or outcomes[1].data != value:
                raise Broken(f"{name} has written {value} and gets {outcomes}")
            self.acknowledged[name] = value
            yield self.lab.env.timeout(0.05)

    def _own(self, client: Any) -> Any:
        """A client with a short session that creates an ephemeral, dies and returns."""
        turn = 0
        while True:
            turn += 1
            yield client.submit([Create(f"/owned-{turn}", None, ephemeral=True)])
            yield self.lab.env.timeout(1.5)
            client.crash()
            yield self.lab.env.timeout(0.3)
            yield client.connect()

    def _observe(self, client: Any, events: list[WatchEvent]) -> Any:
        while client.state != EXPIRED:
            events.clear()
            first = (yield client.submit([GetData("/a", watch=True)]))[0]
            while not events:
                again = (yield client.submit([GetData("/a")]))[0]
                if not events and again.error is None and first.error is None and again.data != first.data:
                    raise Broken(f"the watcher reads {again.data} after {first.data} and has heard of nothing")
                yield self.lab.env.timeout(0.01)
            self.heard += 1


Fault = Callable[[Laboratory, int, bool], None]
"""Breaks server ``number`` of the laboratory (True) or mends it (False)."""


def kill(lab: Laboratory, number: int, breaks: bool) -> None:
    """SIGKILL and a start."""
    if breaks:
        lab.ensemble.crash(number, 0)
    else:
        lab.ensemble.start(number, 0)


def cut_power(lab: Laboratory, number: int, breaks: bool) -> None:
    """The machine goes off: what is not on the disk is gone."""
    if breaks:
        lab.ensemble.crash(number, 0, power_lost=True)
    else:
        lab.ensemble.start(number, 0)


def all_lose_power(lab: Laboratory, number: int, breaks: bool) -> None:
    """Every machine goes off at once, and all come back but one."""
    for server in lab.ensemble.servers():
        if breaks:
            lab.ensemble.crash(server.id, 0, power_lost=True)
        if server.id != number or not breaks:
            lab.ensemble.start(server.id, 0)


def freeze(lab: Laboratory, number: int, breaks: bool) -> None:
    """The process stops; it goes on by itself, whether it has been deposed or not."""
    if breaks:
        lab.ensemble.freeze(number, lab.env.now + FROZEN_S, 0)


def cut_off(lab: Laboratory, number: int, breaks: bool) -> None:
    """Nothing gets through between the machine and all others."""
    _cut(lab, number, breaks, True)


def cut_one_way(lab: Laboratory, number: int, breaks: bool) -> None:
    """What the machine sends vanishes; it hears the others."""
    _cut(lab, number, breaks, False)


def _cut(lab: Laboratory, number: int, breaks: bool, both_ways: bool) -> None:
    cuts = lab.cuts
    if breaks:
        cuts[number] = LinkFault([lab.ensemble.server(number).host], None, both_ways, True)
        lab.network.begin(cuts[number])
    else:
        lab.network.end(cuts.pop(number))


FROZEN_S = 3.5
SETTLE_S = 8.0
"""After a cut TCP sends again when its doubled time-out ends, and only then is everybody up to date."""
FAULTS: list[Fault] = [kill, cut_power, freeze, cut_off, cut_one_way]
"""What a schedule draws from."""


def run(
    seed: int, servers: int, seconds: float = 8.0, faults: list[Fault] | None = None, observers: int = 0,
    **parameters: Any,
) -> Checker:  # fmt: skip
    """Random faults for ``seconds``, then all is mended; every event is followed by a look."""
    lab = Laboratory(
        servers, observers=observers, seed=seed, leader=None, fsync_s=3e-3, fsync_p99_s=0.03, start_up_s=0.2,
        shutdown_s=(0.005, 0.03), snapshot_count=60, commit_log_count=15, tick_ms=1000, init_limit=2, sync_limit=2,
        **parameters,
    )  # fmt: skip
    load = Load(lab)
    checker = Checker(lab, load)
    draws = Streams(seed).stream("faults")
    broken: dict[int, Fault] = {}
    chosen = faults if faults is not None else FAULTS
    while lab.env.now < seconds:
        _step(lab, checker, lab.env.now + draws.uniform(0.01, 1.2))
        _next_fault(lab, draws, broken, chosen)
    for number, fault in broken.items():
        fault(lab, number, False)
    mended = lab.env.now
    while not all(server.serving for server in lab.ensemble.servers()):
        if lab.env.now > mended + 20.0:
            raise Broken("not all servers serve, although all run")
        _step(lab, checker, lab.env.now + 0.5)
    _step(lab, checker, lab.env.now + SETTLE_S)
    for name, acknowledged in load.acknowledged.items():
        for server in lab.ensemble.servers():
            if not acknowledged - 1 <= server.tree.nodes[f"/{name}"].data <= load.written[name]:
                raise Broken(f"{server.name} does not have {acknowledged} of {name}")
    return checker


def _next_fault(lab: Laboratory, draws: Stream, broken: dict[int, Fault], faults: list[Fault]) -> None:
    number = 1 + draws.integer(lab.ensemble.total)
    if draws.uniform() < 0.5:
        number = lab.ensemble.leader_id() or number
    fault = broken.pop(number, None)
    if fault is not None:
        fault(lab, number, False)
        return
    if len(broken) >= lab.ensemble.size // 2 + (draws.uniform() < 0.1):
        # usually a minority is broken; else the one broken for longest is mended
        number = next(iter(broken))
        broken.pop(number)(lab, number, False)
        return
    broken[number] = faults[draws.integer(len(faults))]
    broken[number](lab, number, True)


def _step(lab: Laboratory, checker: Checker, until: float) -> None:
    env = lab.env
    load = checker.load
    while env.peek() < until:
        env.step()
        checker.look()
        if load.errors:
            raise load.errors[0]
    env.run(until=until)
