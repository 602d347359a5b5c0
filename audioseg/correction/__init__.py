"""Correcting: a person puts right what a run got wrong, and the run is trained again."""
