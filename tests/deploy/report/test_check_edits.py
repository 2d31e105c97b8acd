"""Edits: made, shown as diffs, chosen."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import at

from kvplan.launch.text import Place, Source
from kvplan.rules.edits import apply, diff, together
from kvplan.rules.finding import Edit, Fix


def edit(source, old, new):
    return Edit(at(source, old), new)


@pytest.mark.parametrize(
    "text, old, new, after",
    [
        ("a: 1\nb: 2\n", "1", "9", "a: 9\nb: 2\n"),
        ("a: 1", "1", "9", "a: 9"),
        ("a: 1\r\nb: 2\r\n", "1", "9\nc: 3", "a: 9\r\nc: 3\r\nb: 2\r\n"),
        ("a: 1\n", "a: 1\n", "", ""),
        ("", "", "a\n", "a\n"),
        ("a\x0cb\u2028c\x85d: 1\n", "1", "2", "a\x0cb\u2028c\x85d: 2\n"),
    ],
)
@pytest.mark.parametrize("tool", [["patch", "--binary", "-p1", "-i"], ["git", "apply"]])
def test_diffs_can_be_applied(tmp_path, text, old, new, after, tool):
    """Patch and git make of the diff what `apply` makes of the edits: line ends and the lack of a last one are kept."""
    source = Source("dir/a b.yaml", text)
    edits = [edit(source, old, new)]
    assert apply(text, edits) == after
    file = tmp_path / source.path
    file.parent.mkdir()
    file.write_bytes(text.encode())
    (tmp_path / "change").write_bytes(diff(source.path, text, edits).encode())
    subprocess.run([*tool, "change"], cwd=tmp_path, check=True, capture_output=True)
    assert (file.read_bytes() if file.exists() else b"").decode() == after


@given(
    st.text("ab\r\n", max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5), st.text("xy\n", max_size=3))),
)
def test_edits_leave_the_rest(text, changes):
    """What lies outside of the edits is kept, whatever the edits are, and an unchanged text has no diff."""
    source = Source("f", text)
    edits = [Edit(Place(source, min(a, len(text)), min(a + n, len(text))), new) for a, n, new in changes]
    after = apply(text, edits)
    assert (diff("f", text, edits) == "") == (after == text)
    assert apply(text, []) == text


@pytest.mark.parametrize("path", ['a"b', "a\nb", "tab\there", "\udcff"])
def test_odd_paths_stay_one_line(path):
    """The head of a diff is two lines that hold no control characters, as git quotes them."""
    source = Source(path, "1\n")
    head = diff(path, "1\n", [edit(source, "1", "2")]).split("\n@@")[0]
    assert len(head.splitlines()) == 2
    assert all(line[4] == '"' and line.isprintable() for line in head.splitlines())


def test_fixes_made_together_do_not_touch():
    """Of fixes that change the same characters the first is made; one that is the same change is made with it."""
    source = Source("f", "len: 9, seqs: 4\n")
    first, same, other = (Fix(change=new, effect="", edits=(edit(source, "9", new),)) for new in ("5", "5", "6"))
    apart = Fix(change="2", effect="", edits=(edit(source, "4", "2"),))
    none = Fix(change="buy", effect="")
    assert together([first, same, other, apart, none]) == [first, same, apart]
