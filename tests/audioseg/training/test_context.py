import numpy as np

from audioseg.training import context


def test_neighbours_stay_in_their_recording():
    values = np.arange(7)[:, None]
    recording = np.array([0, 0, 0, 0, 1, 1, 1])
    around = context.neighbours(values, recording, reach=2)[:, :, 0]
    assert around.tolist() == [
        [0, 0, 0, 1, 2],
        [0, 0, 1, 2, 3],
        [0, 1, 2, 3, 3],
        [1, 2, 3, 3, 3],
        [4, 4, 4, 5, 6],
        [4, 4, 5, 6, 6],
        [4, 5, 6, 6, 6],
    ]


def test_excerpts_cover_their_recordings():
    recording = np.repeat([0, 1, 2], [10, 3, 4])
    cut = context.excerpts(np.arange(17), recording, length=4)
    assert cut.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9], [13, 14, 15, 16]]
