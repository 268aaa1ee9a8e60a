"""What a run measures: latency, series, the timeline, unavailability and the ledger. Ground floor: knows no room.

One noun a file; this package imports none of them by itself, so that a command that needs no numpy does not load it.
"""
