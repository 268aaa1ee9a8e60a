"""The file's schema for ``quotas``: what an entity's clients may use, by Kafka's names."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictFloat, StrictInt, model_validator

from kafkasim.scenario.fields import Identifier, PositiveByteRate, Strict, wrong

Percentage = Annotated[StrictInt | StrictFloat, Field(gt=0, le=1e6, allow_inf_nan=False)]
LIMITS = ("producer_byte_rate", "consumer_byte_rate", "request_percentage")


class Quota(Strict):
    """One entity (a client-id, a user, or both) and its quotas, at each broker for itself."""

    client_id: Identifier | None = Field(
        None, alias="client-id", description="client.id of the clients, or default: each that has no entity of its own."
    )
    user: Identifier | None = Field(None, description="ANONYMOUS (everybody on a plain-text listener), or default.")
    producer_byte_rate: PositiveByteRate | None = Field(
        None, description="Bytes of produce requests a second, such as 5MB/s."
    )
    consumer_byte_rate: PositiveByteRate | None = Field(
        None, description="Bytes of fetch answers a second, such as 5MB/s."
    )
    request_percentage: Percentage | None = Field(
        None, description="Time of handler and network threads, in percent of one thread."
    )

    @model_validator(mode="after")
    def _whole(self) -> Quota:
        if self.client_id is None and self.user is None:
            raise wrong("whose quota it is is missing", "client-id: NAME, user: NAME, or both")
        if not any(getattr(self, name) is not None for name in LIMITS):
            raise wrong("what is limited is missing", ", ".join(LIMITS))
        return self
