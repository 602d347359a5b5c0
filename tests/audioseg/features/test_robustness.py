"""Every malformed input is named with its reason, and nothing else suffers."""

import re

import malformed
import pytest


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    place = tmp_path_factory.mktemp("malformed")
    found = malformed.of_recordings(place) | malformed.of_records(place)
    found |= malformed.of_archives(place) | malformed.of_weights(place)
    (place / "malformed.md").write_text(malformed.table(found), encoding="utf-8")
    print(f"what was said: {place / 'malformed.md'}")
    return found


def test_there_are_enough():
    names = [case.name for case in malformed.CASES]
    assert len(set(names)) == len(names) >= 60


@pytest.mark.parametrize("case", malformed.CASES, ids=lambda case: case.name)
def test_what_is_said(said, case):
    if case.said == malformed.FINE:
        assert said[case.name] == malformed.FINE
    else:
        assert re.search(case.said, said[case.name])
        # one sentence, which ends as sentences do
        assert "\n" not in said[case.name]
        assert said[case.name].endswith((".", "?"))
        assert "Traceback" not in said[case.name]
        assert not re.match(r"\w+Error", said[case.name])
