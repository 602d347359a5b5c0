"""TensorFlow comes with the package's settings, and without its start-up lines."""

import os
import subprocess
import sys

IMPORTED = "import os, vggish.backend; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"


def run(code, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
    )


def test_quiet():
    done = run(IMPORTED)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_ones_own_settings_count():
    assert run(IMPORTED, TF_ENABLE_ONEDNN_OPTS="0").stdout == "0\n"


def test_what_else_is_written_passes():
    code = "import os\nfrom vggish.backend import _without_greetings\nwith _without_greetings():\n"
    code += "    os.write(2, b'oneDNN custom operations are on.\\nmind the gap\\n')\n    1 / 0"
    done = run(code)
    assert done.stderr.startswith("mind the gap\n")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_closed_stream_is_no_error():
    assert run("import os; os.close(2); import vggish.backend; print('fine')").stdout == "fine\n"
