# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A broker, the controller, ZooKeeper's leader: who is missed for how long?
#
# The same cluster and load, three different deaths, several seeds each. Seeds differ in what an operator cannot
# control: when a session was last touched, which server it hangs on, who is controller, where partitions lie.
# `KAFKASIM_SEEDS` sets how many (default 10).

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from kafkasim import Scenario, simulate

SEEDS = int(os.environ.get("KAFKASIM_SEEDS", "10"))
KILL_S = 10

# %%
SCENARIO = f"""
name: failure-modes
duration: 40s
warmup: 5s
cluster:
  brokers: {{count: 3, config: {{auto.leader.rebalance.enable: false, group.initial.rebalance.delay.ms: 0}}}}
  zookeeper: {{servers: 3, config: {{tickTime: 2000}}}}
topics:
  events: {{partitions: 6, replication_factor: 3, config: {{min.insync.replicas: 2}}}}
producers:
  - {{name: app, topic: events, rate: 300/s, record_size: 200B, partitioner: round, config: {{acks: all}}}}
consumers:
  - {{group: readers, topics: [events], config: {{auto.offset.reset: earliest}}}}
events:
  - {{at: {KILL_S}s, crash: broker 1, for: 1h}}
"""
base = Scenario.loads(SCENARIO)
DEATHS = {
    "a broker": base.replace("cluster.initial_controller=2"),
    "the controller": base.replace("events.0.crash=controller"),
    "ZooKeeper's leader": base.replace("events.0.crash=zookeeper leader"),
}

# %% [markdown]
# For each run: the longest time for which a partition could not be written and read, and for how long ZooKeeper itself
# took no writes (from the leader's death to the next one's service).


# %%
def after(timeline, event):
    """Seconds from the kill to the first row of ``event`` (NaN: there is none)."""
    found = timeline[(timeline.event == event) & (timeline.time_s >= KILL_S)]
    return found.time_s.min() - KILL_S if len(found) else np.nan


rows = []
for death, scenario in DEATHS.items():
    for seed in range(1, SEEDS + 1):
        result = simulate(scenario, seed=seed)
        ledger, headline = result.summary["ledger"], result.summary["headline"]
        assert all(identity["holds"] for identity in ledger["identities"])
        rows.append(
            {
                "death": death,
                "seed": seed,
                "produce_outage_s": headline["longest_produce_unavailability_s"],
                "consume_outage_s": headline["longest_consume_unavailability_s"],
                "expired_after_s": after(result.timeline, "session_expired"),
                "controller_after_s": after(result.timeline, "controller_elected"),
                "zookeeper_outage_s": after(result.timeline, "zookeeper_leader_elected"),
                "lost": ledger["acknowledged_lost"],
                "failed": ledger["failed"],
            }
        )
runs = pd.DataFrame(rows)
columns = [name for name in runs.columns if name.endswith("_s")]
runs.groupby("death", sort=False)[columns].agg(["min", "median", "max"]).T.round(2)

# %% [markdown]
# ## The outage that clients feel
#
# A dead broker is noticed when its ZooKeeper session ends: `zookeeper.session.timeout.ms` (18 s) after its last sign of
# life, rounded up to a tick (2 s); pings come every third of the timeout. So it takes 12 to 21 s, and elections add
# milliseconds. A dead controller adds a little more: the next one reads everything before it acts.

# %%
figure, axis = plt.subplots(figsize=(9, 3.5))
for number, death in enumerate(DEATHS):
    values = runs[runs.death == death].produce_outage_s
    axis.plot(values, np.full(len(values), number) + np.linspace(-0.15, 0.15, len(values)), "o", alpha=0.7)
axis.axvspan(12, 21, alpha=0.1, color="grey", label="when the session can expire")
axis.set(yticks=range(len(DEATHS)), yticklabels=list(DEATHS), xlabel="longest outage of a partition, writing (s)")
axis.legend()
figure.tight_layout()

# %% [markdown]
# ## The outage that clients do not feel
#
# When ZooKeeper's leader dies the others elect a new one: 200 ms of quiet after a quorum of equal votes, then the new
# leader and its followers find each other and agree on what they have. Nobody can write to ZooKeeper meanwhile; nobody
# needs to.

# %%
figure, axis = plt.subplots(figsize=(9, 2.5))
axis.ecdf(runs[runs.death == "ZooKeeper's leader"].zookeeper_outage_s * 1e3)
axis.set(xlabel="ZooKeeper takes no writes for (ms)", ylabel="share of seeds", xlim=(0, None))
figure.tight_layout()

# %%
quiet = runs[runs.death == "ZooKeeper's leader"]
assert quiet.produce_outage_s.max() == 0.0 and quiet.consume_outage_s.max() == 0.0
assert runs[runs.death != "ZooKeeper's leader"].expired_after_s.between(12, 21.1).all()
assert (runs.lost == 0).all() and (runs.failed == 0).all()

# %% [markdown]
# In none of these runs was an acknowledged record lost: `acks=all`, and the new leader was one of the in-sync replicas.
