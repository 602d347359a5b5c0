"""`mini`, the small embedding that ships with the course, and how it was trained.

``network`` builds it and loads its weights, which is all that using it takes. ``bank`` (the audio
that it learnt from, listed in ``bank.csv``), ``mixing`` (windows of that audio) and ``train`` made
it.
"""
