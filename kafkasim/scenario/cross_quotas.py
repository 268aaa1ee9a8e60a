"""Holds quotas against the clients that they are meant for."""

from __future__ import annotations

from kafkasim.scenario.cross_reference import Facts
from kafkasim.scenario.errors import listed, nearest

USERS = ("ANONYMOUS", "default")


def check(facts: Facts) -> None:
    """All entities; what is wrong goes to the facts' reporter."""
    file, report = facts.file, facts.report
    known: dict[str, None] = {"default": None}
    for producer in file.producers:
        client_id = producer.config.get("client.id")
        known[client_id if isinstance(client_id, str) and client_id else producer.name] = None
    for consumer in file.consumers:
        client_id = consumer.config.get("client.id")
        own = f"consumer-{consumer.group}-1" if consumer.group else "consumer-1"  # Kafka's, one member a process
        known[client_id if isinstance(client_id, str) and client_id else own] = None
    seen: dict[tuple[str | None, str | None], None] = {}
    for index, quota in enumerate(file.quotas):
        place = facts.at("quotas", index)
        if quota.client_id is not None and quota.client_id not in known:
            report.wrong((*place, "client-id"), "no client has this client.id", quota.client_id,
                         listed(known, 10), nearest(quota.client_id, known))  # fmt: skip
        if quota.user is not None and quota.user not in USERS:
            report.wrong((*place, "user"), "there is no such user: clients are not authenticated", quota.user,
                         listed(USERS))  # fmt: skip
        entity = (quota.user, quota.client_id)
        if entity in seen:
            report.wrong(place, "an entity has its quotas once", listed(part for part in entity if part is not None))
        seen[entity] = None
