"""Correcting: what a run got wrong, put right by a person, and the run trained again."""
