"""01: from sources, or from recordings of your own, to recordings with label tracks."""
