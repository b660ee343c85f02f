"""PDFs attached to PDFs: read as sections of their own, within bounds, with passwords too."""

from pathlib import Path
from typing import Any

import pymupdf
import pytest
from papers import PDF, resumed, run

from app.jobs.options import DocumentOptions
from app.jobs.results import Issue, Page
from app.jobs.types import Severity
from workers.processors import attached
from workers.processors.attached import attached_to

AES_256 = 5  # of pymupdf's encryption methods


def paper(*texts: str) -> Any:  # noqa: ANN401 - pymupdf has no types
    """Make a PDF with a page for each text."""
    document = pymupdf.open()
    for text in texts:
        document.new_page().insert_text((72, 72), text)
    return document


def attach(document: Any, **files: Any) -> Any:  # noqa: ANN401 - pymupdf has no types
    """Attach files by their names, a PDF or bytes."""
    for name, file in files.items():
        content = file if isinstance(file, bytes) else file.tobytes()
        filename = name.replace("_", ".")
        document.embfile_add(filename, content, filename=filename, ufilename=filename)
    return document


def save(document: Any, folder: Path) -> Path:  # noqa: ANN401 - pymupdf has no types
    path = folder / "paper.pdf"
    document.save(path)
    return path


def found(pages: list[Page]) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(part.body, part.page, part.headings) for page in pages for part in page.segments]


def told(pages: list[Page]) -> list[tuple[str, Severity, str]]:
    return [(each.code, each.severity, each.message) for page in pages for each in page.issues]


def test_attached_pdfs_follow_under_their_names_with_their_own_pages(tmp_path: Path) -> None:
    inner = attach(paper("The first sheet.", "The second sheet."), deep_pdf=paper("Deep inside."))
    source = save(attach(paper("The letter."), a_pdf=inner, b_pdf=paper("Another.")), tmp_path)
    pages = run(source, PDF)
    assert [(page.number, page.total, page.attached) for page in pages] == [
        (number, 5, 4) for number in range(1, 6)
    ]
    assert found(pages) == [
        ("The letter.", 1, ()),
        ("# a.pdf\n\nThe first sheet.\n\nThe second sheet.", 1, ("a.pdf",)),
        ("## deep.pdf\n\nDeep inside.", 1, ("a.pdf", "deep.pdf")),
        ("# b.pdf\n\nAnother.", 1, ("b.pdf",)),
    ]
    boxes = [box.page for page in pages for part in page.segments for box in part.boxes]
    assert boxes == [1, 1, 2, 1, 1]
    places = [part.place for page in pages for part in page.segments]
    assert len(set(places)) == len(places)
    assert told(pages) == []


@pytest.mark.parametrize("max_size", [100, 5000])
def test_a_run_goes_on_within_attached_files_as_if_it_had_not_stopped(
    tmp_path: Path, max_size: int
) -> None:
    long = "A sentence that goes on. " * 3
    locked = paper(*[long] * 3).tobytes(user_pw="key", owner_pw="key", encryption=AES_256)
    inner = attach(paper(long, long), inner_pdf=locked)
    source = save(attach(paper(long, long), one_pdf=inner, two_pdf=paper(long)), tmp_path)
    given = DocumentOptions(("no", "key"))
    pages = run(source, PDF, max_size=max_size, given=given)
    assert len(pages) == 8
    assert [each[2] for each in told(pages)] == ["Password 2 opened 'inner.pdf'."]
    for page in pages:
        assert resumed(source, PDF, page, max_size=max_size, given=given) == pages[page.number :]
        assert "key" not in repr(page.checkpoint)


def test_what_is_not_read_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    locked = paper("x").tobytes(user_pw="key", owner_pw="key", encryption=AES_256)
    files = {"a_png": b"\x89PNG", "b_pdf": locked, "c_pdf": b"%PDF-1.7 broken"}
    pages = run(save(attach(paper("Whole."), **files), tmp_path), PDF)
    assert found(pages) == [("Whole.", 1, ())]
    assert {each[0] for each in told(pages)} == {"ATTACHMENT_SKIPPED"}
    unread = "is attached and was not read"
    assert [each[1:] for each in told(pages)] == [
        (Severity.INFO, f"'a.png' {unread}: it is no PDF."),
        (Severity.WARNING, f"'b.pdf' {unread}: the PDF needs a password."),
        (Severity.WARNING, f"'c.pdf' {unread}: the PDF cannot be opened."),
    ]


def test_a_file_that_is_pinned_to_a_page_is_attached_too(tmp_path: Path) -> None:
    document = paper("The letter.", "Its end.")
    document[1].add_file_annot((72, 200), paper("Pinned.").tobytes(), "pin.pdf")
    pages = run(save(document, tmp_path), PDF)
    assert found(pages)[-1] == ("# pin.pdf\n\nPinned.", 1, ("pin.pdf",))


def test_issues_of_attached_pages_name_their_file(tmp_path: Path) -> None:
    scan = pymupdf.open()
    picture = pymupdf.Pixmap(pymupdf.csGRAY, pymupdf.IRect(0, 0, 20, 20), 0)
    picture.clear_with(90)
    scan.new_page().insert_image((50, 50, 300, 300), pixmap=picture)
    pages = run(save(attach(paper("x", "y"), scan_pdf=scan), tmp_path), PDF)
    message = "'scan.pdf': The page is a picture without text; OCR can read it."
    assert [page.issues for page in pages] == [(), (), (Issue("NO_TEXT", message, 1),)]


def test_depth_number_and_size_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = paper("0")
    for _ in range(6):
        deep = attach(paper("x"), in_pdf=deep)
    search = attached_to(deep)
    assert [file.depth for file in search.files] == [1, 2, 3]
    assert [issue.message for issue in search.issues] == [
        "'in.pdf' is attached and was not read: it is attached more than 3 levels deep."
    ]
    many = attach(paper("x"), **{f"n{place:03}_pdf": paper("y") for place in range(5)})
    monkeypatch.setattr(attached, "MOST_FILES", 3)
    search = attached_to(many)
    assert [file.name for file in search.files] == ["n000.pdf", "n001.pdf", "n002.pdf"]
    assert [issue.message for issue in search.issues] == [
        "Of the attached files only the first 3 were looked at."
    ]
    monkeypatch.setattr(attached, "MOST_BYTES", len(paper("y").tobytes()) * 2 + 50)
    assert len(attached_to(many).files) == 2
    monkeypatch.setattr(attached, "MOST_PAGES", 1)
    assert len(attached_to(many).files) == 1


def test_a_bomb_is_not_unpacked() -> None:
    document = pymupdf.open()
    document.new_page()
    attach(document, bomb_pdf=b"%PDF-1.7\n" + bytes(120 << 20), zip_bin=bytes(120 << 20))
    packed = document.tobytes(deflate=True)
    search = attached_to(pymupdf.open(stream=packed))
    assert (len(packed) < 1 << 20, search.files) == (True, [])
    assert [issue.message for issue in search.issues] == [
        "'bomb.pdf' is attached and was not read: it is damaged or too large.",
        "'zip.bin' is attached and was not read: it is no PDF.",
    ]


def test_passwords_are_tried_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = paper("y").tobytes(user_pw="key", owner_pw="key", encryption=AES_256)
    document = attach(paper("x"), **{f"n{place}_pdf": locked for place in range(3)})
    monkeypatch.setattr(attached, "MOST_TRIES", 5)
    search = attached_to(document, ["no", "key", "no"])
    assert [file.name for file in search.files] == ["n0.pdf", "n1.pdf"]
    assert search.issues[-1].message == (
        "'n2.pdf' is attached and was not read: no more than 5 passwords are tried on all attached "
        "files."
    )


def test_names_are_cut_and_cleaned() -> None:
    name = "a\n\u202eb " + "x" * 90
    document = paper("x")
    document.embfile_add("n", paper("y").tobytes(), filename=name, ufilename=name)
    (file,) = attached_to(document).files
    assert file.name == "a b " + "x" * 56 + "…"
