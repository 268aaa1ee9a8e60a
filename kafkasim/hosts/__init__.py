"""Machines: interface, cores, disk."""

from kafkasim.hosts.host import Disk, Host

__all__ = ["Disk", "Host"]
