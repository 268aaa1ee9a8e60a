"""Where the replicas of new partitions go.

Stands for ``org.apache.kafka.admin.AdminUtils``: round robin for the preferred leaders, a growing shift for the
followers, and the rack-aware variant as soon as one broker has a rack.  The order of ``brokers`` matters: creation
takes the metadata cache's, added partitions the sorted one; a simulator uses sorted ids for both.
"""

from __future__ import annotations

from collections.abc import Sequence


class PlacementError(ValueError):
    """The replicas cannot be placed (Kafka: InvalidReplicationFactor, InvalidPartitions, AdminOperation)."""


def place(
    brokers: Sequence[tuple[int, str | None]],
    partitions: int,
    replication_factor: int,
    start_index: int,
    shift: int,
    start_partition: int = 0,
) -> dict[int, list[int]]:
    """The replicas of each new partition, preferred leader first.

    ``start_index`` and ``shift`` are draws in [0, number of brokers) at the creation of a topic; when partitions are
    added both are the index of the first broker id ≥ the first replica of partition 0, and ``start_partition`` is
    the old number of partitions.

    >>> place([(1, None), (2, None), (3, None)], 3, 2, start_index=0, shift=0)
    {0: [1, 2], 1: [2, 3], 2: [3, 1]}

    Raises:
        PlacementError: if there are fewer brokers than replicas, or only some brokers have a rack.
    """
    if partitions <= 0:
        raise PlacementError("the number of partitions must be larger than 0")
    if replication_factor <= 0:
        raise PlacementError("the replication factor must be larger than 0")
    if replication_factor > len(brokers):
        raise PlacementError(f"replication factor {replication_factor} is larger than the {len(brokers)} live brokers")
    start_partition = max(0, start_partition)
    if all(rack is None for _, rack in brokers):
        ids = [broker for broker, _ in brokers]
        return _without_racks(ids, partitions, replication_factor, start_index, shift, start_partition)
    racks: dict[int, str] = {}
    for broker, rack in brokers:
        if rack is None:
            raise PlacementError(f"broker {broker} has no rack while others have one")
        racks[broker] = rack
    return _with_racks(racks, partitions, replication_factor, start_index, shift, start_partition)


def _without_racks(
    ids: list[int], partitions: int, replication_factor: int, start_index: int, shift: int, start_partition: int
) -> dict[int, list[int]]:
    n = len(ids)
    placed: dict[int, list[int]] = {}
    for partition in range(start_partition, start_partition + partitions):
        if partition > 0 and partition % n == 0:
            shift += 1
        first = (partition + start_index) % n
        replicas = [ids[first]]
        replicas.extend(ids[_follower(first, shift, j, n)] for j in range(replication_factor - 1))
        placed[partition] = replicas
    return placed


def _with_racks(
    racks: dict[int, str],
    partitions: int,
    replication_factor: int,
    start_index: int,
    shift: int,
    start_partition: int,
) -> dict[int, list[int]]:
    ids = alternated_by_rack(racks)
    n = len(ids)
    rack_count = len(set(racks.values()))
    placed: dict[int, list[int]] = {}
    for partition in range(start_partition, start_partition + partitions):
        if partition > 0 and partition % n == 0:
            shift += 1
        first = (partition + start_index) % n
        replicas = [ids[first]]
        used_racks = {racks[ids[first]]}
        candidate = 0
        while len(replicas) < replication_factor:
            broker = ids[_follower(first, shift * rack_count, candidate, n)]
            candidate += 1
            # a used rack has to wait until every rack has a replica, a used broker until every broker has one
            if racks[broker] in used_racks and len(used_racks) < rack_count:
                continue
            if broker in replicas and len(replicas) < n:
                continue
            replicas.append(broker)
            used_racks.add(racks[broker])
        placed[partition] = replicas
    return placed


def alternated_by_rack(racks: dict[int, str]) -> list[int]:
    """Brokers in the order of one from each rack in turn.

    >>> alternated_by_rack({0: "a", 1: "a", 2: "b", 3: "c"})
    [0, 2, 3, 1]
    """
    by_rack: dict[str, list[int]] = {}
    for broker in sorted(racks):
        by_rack.setdefault(racks[broker], []).append(broker)
    columns = [by_rack[rack] for rack in sorted(by_rack)]
    longest = max(len(column) for column in columns)
    return [column[row] for row in range(longest) for column in columns if row < len(column)]


def _follower(first: int, shift: int, j: int, n: int) -> int:
    return (first + 1 + (shift + j) % (n - 1)) % n
