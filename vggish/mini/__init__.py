"""`mini`, the small embedding that ships with the course, and how it was trained.

To use it, ``network`` is enough: it builds the network and loads its weights. ``bank`` (the audio
that it learnt from, listed in ``bank.csv``), ``mixing`` (windows of that audio) and ``train`` made
it.
"""
