"""How a leader brings a learner up to date: DIFF, TRUNC or SNAP (LearnerHandler.syncFollower).

The learner's last transaction decides: among the last ``commitLogCount`` in memory, or in
the log's files as long as those begun after it are small beside the newest snapshot, the
missing ones are sent; what it has and the leader has not is truncated, unless the leader
goes on in a newer epoch; all else is a snapshot of the whole tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.zookeeper.packets import Synchronise
from kafkasim.zookeeper.transactions import Transaction, epoch_of

if TYPE_CHECKING:
    from kafkasim.zookeeper.server import Server


def synchronise(server: Server, epoch: int, has: int, outstanding: list[Transaction]) -> tuple[Synchronise, int]:
    """The packet for a learner whose last transaction is ``has``, and the bytes to read from the disk for it."""
    tree = server.tree
    method, truncate_to, missing, read_bytes = "SNAP", -1, server.applying(), 0
    if has > tree.last_zxid:
        method, truncate_to = "TRUNC", tree.last_zxid
    elif has == tree.last_zxid:
        method = "DIFF"
    else:
        known = _beyond(server, has)
        if known is not None:
            newer, common, read_bytes = known
            if common == has:
                method = "DIFF"
                missing = newer + missing
            elif epoch_of(newer[0].zxid) == epoch_of(has):
                method, truncate_to = "TRUNC", common
                missing = newer + missing
    packet = Synchronise(epoch, method, missing, outstanding)
    packet.truncate_to = truncate_to
    if method == "SNAP":
        snapshot = server.new_tree()
        snapshot.become(tree)
        packet.carry(snapshot, server.tree_bytes())
    return packet, read_bytes if method != "SNAP" else 0


def _beyond(server: Server, has: int) -> tuple[list[Transaction], int, int] | None:
    """What the leader has beyond ``has``, the last zxid not beyond it, and what of it is read from the disk."""
    tree = server.tree
    log = tree.committed_log
    if has >= tree.log_base:
        known = [transaction.zxid for transaction in log if transaction.zxid <= has]
        common = known[-1] if known else tree.log_base
        return [transaction for transaction in log if transaction.zxid > has], common, 0
    found = server.log.after(has)
    if found is None:
        return None
    beyond, begun = found
    parameters = server.parameters
    if begun * parameters.pre_allocated_bytes > parameters.snapshot_size_factor * server.log.snapshot_bytes:
        return None
    on_disk = [transaction for transaction in beyond if transaction.zxid <= tree.log_base]
    if not on_disk or on_disk[-1].zxid != tree.log_base:
        return None  # a gap between the disk and the memory
    newer = on_disk + list(log)
    read_bytes = sum(transaction.size_bytes for transaction in on_disk)
    return newer, server.log.last_not_beyond(has), read_bytes
