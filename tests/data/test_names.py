import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tigon.data.names import Names, NamesWriter
from tigon.files import printable


def written(folder, names):
    writer = NamesWriter(folder)
    for name in names:
        writer.append(name)
    writer.close()
    return Names(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text().map(printable), min_size=1, max_size=9), st.integers(-9, 9))
def test_names_written_are_the_names_read(tmp_path, names, row):
    found = written(tmp_path, names)
    assert found == names and list(found) == names and found[1:] == names[1:]
    if -len(names) <= row < len(names):
        assert found[row] == names[row]
    else:
        with pytest.raises(IndexError):
            found[row]


def test_names_that_do_not_belong_together_are_refused(tmp_path):
    written(tmp_path, ["a.png", "b.png"])
    (tmp_path / "names.txt").write_text("a.png\nb.png\nc.png\n")
    with pytest.raises(ValueError, match="do not belong together"):
        Names(tmp_path)
