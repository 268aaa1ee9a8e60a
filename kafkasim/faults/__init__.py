"""What a scenario's events do to a cluster: one kind a file."""
