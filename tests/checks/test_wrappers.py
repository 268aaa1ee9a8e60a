"""Who stands between the model and its collectors passes everything on."""

from __future__ import annotations

import pytest

from kafkasim.batch_trace import TracedClients
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.passing_monitor import PassingMonitor
from kafkasim.clients.monitor import ClientMonitor


@pytest.mark.parametrize(
    ("told", "passed_on"),
    [(BrokerMonitor, PassingMonitor), (ClientMonitor, TracedClients)],
)
def test_every_call_is_passed_on(told, passed_on):
    """A monitor's default may be to do nothing: then what is not passed on is lost in silence."""
    calls = {name for name, what in vars(told).items() if callable(what) and not name.startswith("_")}
    assert calls and calls <= set(vars(passed_on))
