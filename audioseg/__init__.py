"""The code behind the notebooks; learners need not read it. One folder for each stage.

``corpus`` (01) makes recordings and label tracks, ``features`` (02) embeds many recordings,
``training`` (03) keeps runs, ``segmentation`` (04) turns a run's answers into segments and scores
them, ``show`` draws and plays. ``labels``, ``audio``, ``files`` and ``errors`` lie below them.
"""

# of making labels of probabilities, see smoothing.py; here, as the command line asks without numpy
SMOOTHINGS = ("none", "median", "minimum", "viterbi")
