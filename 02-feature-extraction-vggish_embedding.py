"""02: from recordings and label tracks to embeddings, one TFRecord file per split.

    python 02-feature-extraction-vggish_embedding.py

reads data/on-hold/{TRN,VAL,TST} and writes data/on-hold/embeddings. Interrupt it when you like: the
same command goes on where it stopped. Exit status: 0 if all is done, 1 if some recordings failed
(they are listed, all others are written), 2 for wrong arguments.

While it runs, read feat_ext.py. docs/02-sound-to-embeddings.md explains it and has exercises:
change the hop, find a window in time, see how much neighbours share.
"""

import sys

from audioseg.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["extract", *sys.argv[1:]]))
