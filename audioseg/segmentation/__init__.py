"""04: from a run to segments, and how near they come to the reference."""
