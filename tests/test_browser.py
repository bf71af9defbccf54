"""The browser of the tests sees what is wrong with a page."""

import pytest

PAGE = (
    "<!doctype html><html lang=en><head><link rel=icon href='data:,'><title>t</title></head><body>{}</body>"
)


def test_a_sound_page_has_a_picture(tab, tmp_path, monkeypatch):
    monkeypatch.setenv("MLSYSIM_ARTIFACTS", str(tmp_path / "kept"))
    page = tmp_path / "page.html"
    page.write_text(PAGE.format("<p>hello"))
    picture = tab.open(page).shot("a page/1", grey=True)
    assert picture.parent == tmp_path / "kept"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert tab.plots() == 0
    tab.check()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("<script>console.error('oh no')</script>", "oh no"),
        ("<script>undefinedName()</script>", "undefinedName"),
        ("<img src='https://example.invalid/x.png'>", "example.invalid"),
        ("<img src='missing.png'>", "missing.png"),
    ],
)
def test_a_page_with_a_fault_fails(tab, tmp_path, body, word):
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(body))
    tab.open(page)
    with pytest.raises(AssertionError):
        tab.check()
    assert word in " ".join(tab.errors + tab.failed)
    tab.errors.clear()
    tab.failed.clear()
