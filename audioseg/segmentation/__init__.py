"""04: from a run to segments, and how close they come to the reference."""
