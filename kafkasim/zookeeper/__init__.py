"""The ZooKeeper ensemble that coordinates the cluster: servers, elections, broadcast, sessions, tree, client.

Each server is a process on a host of its own with its tree, its log and its role; clients
hang on one server each.  ``ensemble.py`` is the way in, ``client.py`` what a broker holds.
All that a process plans goes through its ``life.py``, all silence is watched: a freeze or a
partition needs nothing else of this room.

Left out: reconfiguration, local sessions, ACLs, the two safety holes of the 3.x servers (a
NEWLEADER that is acknowledged before its transactions are on the disk, a sync thread that
outlives its term).
"""
