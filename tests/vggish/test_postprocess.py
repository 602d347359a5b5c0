import numpy as np
import pytest

from vggish.postprocess import PCA, PostprocessError, quantize


def some_pca(seed=0):
    random = np.random.default_rng(seed)
    return PCA(random.standard_normal((128, 128)), random.standard_normal(128))


@pytest.mark.numeric
def test_quantize_by_the_definition():
    pca = some_pca()
    embeddings = np.random.default_rng(1).standard_normal((50, 128)).astype(np.float32) / 8
    result = quantize(embeddings, pca)
    assert result.dtype == np.uint8
    for i in range(50):
        for k in range(0, 128, 17):
            y = sum(
                pca.eigen_vectors[k, j] * (float(embeddings[i, j]) - pca.means[j])
                for j in range(128)
            )
            assert result[i, k] == int((min(max(y, -2.0), 2.0) + 2) * 255 / 4)


def test_truncates_and_does_not_round():
    identity = PCA.identity()
    step = 4 / 255
    values = np.zeros((1, 128), np.float32)
    values[0, :6] = [-9, -2, -2 + 0.9 * step, 0, 2 - 0.1 * step, 9]
    np.testing.assert_array_equal(quantize(values, identity)[0, :6], [0, 0, 0, 127, 254, 255])


def test_means_may_be_a_column_as_in_files_from_matlab_days():
    pca = some_pca()
    column = PCA(pca.eigen_vectors, pca.means[:, None])
    np.testing.assert_array_equal(column.means, pca.means)


def test_load(tmp_path):
    pca = some_pca()
    path = tmp_path / "pca.npz"
    np.savez(path, pca_eigen_vectors=pca.eigen_vectors, pca_means=pca.means)
    loaded = PCA.load(path)
    np.testing.assert_array_equal(loaded.eigen_vectors, pca.eigen_vectors)
    np.testing.assert_array_equal(loaded.means, pca.means)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"pca_eigen_vectors": np.eye(128)}, "pca_means"),
        (
            {"pca_eigen_vectors": np.eye(64), "pca_means": np.zeros(128)},
            r"\(64, 64\)",
        ),
        ({"pca_eigen_vectors": np.eye(128), "pca_means": np.full(128, np.nan)}, "means hold NaN"),
        ({"pca_eigen_vectors": np.eye(128), "pca_means": np.zeros(128, object)}, "pickle"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, arrays, says):
    path = tmp_path / "pca.npz"
    np.savez(path, **arrays)
    with pytest.raises(PostprocessError, match=says) as caught:
        PCA.load(path)
    assert str(path) in str(caught.value)


def test_no_file_and_no_npz(tmp_path):
    with pytest.raises(PostprocessError, match=r"absent\.npz.*No such file"):
        PCA.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(PostprocessError, match=r"text\.npz"):
        PCA.load(tmp_path / "text.npz")
    np.savez(tmp_path / "whole.npz", pca_eigen_vectors=np.eye(128), pca_means=np.zeros(128))
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:50_000])
    with pytest.raises(PostprocessError, match=r"half\.npz"):
        PCA.load(tmp_path / "half.npz")
    np.save(tmp_path / "one.npy", np.eye(128))
    with pytest.raises(PostprocessError, match=r"one\.npy"):
        PCA.load(tmp_path / "one.npy")


@pytest.mark.parametrize("embeddings", [np.zeros(128), np.zeros((2, 64)), np.zeros((1, 2, 128))])
def test_wrong_shapes(embeddings):
    with pytest.raises(PostprocessError, match=r"\(n, 128\)"):
        quantize(embeddings, PCA.identity())


def test_not_finite():
    with pytest.raises(PostprocessError, match="NaN"):
        quantize(np.full((1, 128), np.nan), PCA.identity())


def test_no_window_gives_no_bytes():
    assert quantize(np.empty((0, 128), np.float32), PCA.identity()).shape == (0, 128)
