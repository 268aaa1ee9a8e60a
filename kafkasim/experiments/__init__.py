"""Questions that several runs answer together."""
