"""The ZooKeeper ensemble that coordinates the cluster: servers, elections, broadcast, sessions, tree, client.

Each server is a process on a host of its own with its tree, its log and its role; clients
hang on one server each.  ``ensemble.py`` is the way in, ``client.py`` what a broker holds.

Left out, with its place kept: freezes and partitions of the network (all timers of a
process go through ``life.py``, all silence is watched), observers, snapshots by transaction
count, the limit of outstanding requests, a server's own processor time for a follower's write.
"""
