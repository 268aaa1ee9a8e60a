"""Machines: interface, cores, disk."""

from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host

__all__ = ["Disk", "Host"]
