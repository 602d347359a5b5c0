# The whole workshop in one image: locked requirements, real recordings, their embeddings, and
# JupyterLab on the notebooks. What changes least comes first, so that editing a notebook
# rebuilds only the last, small layers.
#
#   docker build -t audio-segmentation .
#   docker run --rm -p 8888:8888 audio-segmentation
#   docker run --rm -p 8888:8888 -v "$PWD/work:/home/learner/work" --user "$(id -u)" audio-segmentation
FROM python:3.11-slim-bookworm

# Group 0 may do what the user may: a container started with any --user is in group 0, and so
# writes wherever the course does, whatever the host's user id.
RUN useradd --uid 1000 --gid 0 --create-home learner && chmod 0775 /home/learner
ENV HOME=/home/learner TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
WORKDIR /home/learner/course

# Without what serves building on TensorFlow (its headers, libclang), the libraries' own tests, and
# this project's (ruff, hypothesis, selenium): 0.7 GB less
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
    && pip uninstall --yes --quiet --root-user-action=ignore libclang selenium ruff hypothesis \
    && cd /usr/local/lib/python3.11/site-packages \
    && rm -rf tensorflow/include && find . -type d -name tests -prune -exec rm -rf {} +

# librosa compiles parts of itself when it is first called, and no notebook should wait for that
ENV NUMBA_CACHE_DIR=/home/learner/.cache/numba
RUN umask 002 && python -c "import librosa, numpy; librosa.effects.trim(numpy.ones(8000))"

COPY pyproject.toml README.md feat_ext.py ./
COPY vggish vggish
COPY audioseg audioseg
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable .

# the recordings, from the mirror that the base image's own apt uses; unpacked, the packages
# themselves are not needed: 0.4 GB less
COPY data data
RUN umask 002 && audioseg corpus && rm data/raw/*.deb && chgrp -R 0 data

# Google's checkpoint: `try` takes it where it can be reached, `require` fails the build where it
# cannot, `skip` goes without (the course then uses its own small embedding)
ARG GOOGLE_VGGISH=try
RUN umask 002 && case "$GOOGLE_VGGISH" in \
      require) python -m vggish.weights ;; \
      try) python -m vggish.weights || echo "Going on without Google's checkpoint." ;; \
      skip) ;; \
      *) echo "error: GOOGLE_VGGISH is try, require or skip, not $GOOGLE_VGGISH." >&2; exit 1 ;; \
    esac

RUN umask 002 && audioseg extract

COPY --chown=1000:0 . .
RUN install -d -o 1000 -g 0 -m 0775 /home/learner/work . data

USER 1000
# JupyterLab, and `audioseg app`
EXPOSE 8888 8899
HEALTHCHECK --interval=10s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8888/api', timeout=5)"]
ENTRYPOINT ["/home/learner/course/docker-entrypoint.sh"]
# JupyterLab prints its token; -e JUPYTER_TOKEN=… sets it
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"]
