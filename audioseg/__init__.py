"""The code behind the notebooks; learners need not read it.

One folder for each stage:

- ``corpus`` (01) makes recordings and label tracks;
- ``features`` (02) embeds many recordings;
- ``training`` (03) keeps runs;
- ``segmentation`` (04) turns a run's answers into segments, and scores them;
- ``correction`` (05) takes what a person has put right, and trains a run again;
- ``show`` draws and plays.

Below them lie:

- ``labels``: label tracks, frame labels, the classes of a corpus;
- ``spelling``: which label is meant;
- ``label_formats``: label tracks of other programs: Audacity, CSV, RTTM, Praat, ELAN;
- ``audio``: audio files, read block by block;
- ``decoding``: the decoders beneath ``audio``;
- ``smoothing``: from probabilities to labels;
- ``workers``: work on many items, in processes or on a cluster;
- ``files``: writing whole or not at all;
- ``errors``: errors in one sentence.
"""

# the methods in smoothing.py; named here, so that the command line need not import numpy
SMOOTHINGS = ("none", "median", "minimum", "viterbi")
