"""01: from sources, or from your own recordings, to a corpus with label tracks."""
