"""02: from recordings and label tracks to embeddings, one TFRecord file a split.

    python 02-feature-extraction-vggish_embedding.py

reads data/on-hold/{TRN,VAL,TST} and writes data/on-hold/embeddings. Interrupt it when you like:
the same command goes on where it stopped. It ends with 0 when all is done, with 1 when some
recordings failed (they are listed, all others are written), with 2 for wrong arguments.
"""

import sys

from audioseg.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["extract", *sys.argv[1:]]))
