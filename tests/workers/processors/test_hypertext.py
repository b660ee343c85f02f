from pathlib import Path

import pytest
from papers import HTML, bodies, segments


def read(folder: Path, html: str, *, max_size: int = 5000) -> str:
    source = folder / "page.html"
    source.write_text(html, encoding="utf-8")
    return "\n=====\n".join(bodies(source, HTML, max_size=max_size))


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<p>One\n  line<br>and another", "One line\nand another"),
        (
            "<p>a <b> bold </b>word, <em>soft</em>, <code>x*y</code>",
            "a **bold** word, *soft*, `x*y`",
        ),
        (
            '<p><a href="https://a.example/b">out</a> <a href="/in">in</a>',
            "[out](https://a.example/b) in",
        ),
        ('<p><a href="javascript:alert(1)">no</a>', "no"),
        ("<p>10<sup>6</sup> m<sup>th</sup>", "10\u2076 mth"),
        ("<p># no heading</p><p>2 * 3 * 4</p>", "\\# no heading\n\n2 * 3 * 4"),
        ("<p>&lt;b&gt; &amp;amp;", "\\<b> \\&amp;"),
        ("<ul><li>a<ol start=3><li>b<li>c</ol><li>d</ul>", "- a\n    3. b\n    4. c\n- d"),
        ("<pre class='language-py'>if a:\n    b\n</pre>", "```py\nif a:\n    b\n```"),
        ("<blockquote><p>Said<br>so</blockquote>", "> Said\n> so"),
        ("<script>x</script><style>y</style><nav>menu</nav><p hidden>z</p><p>text", "text"),
        (
            "<header><h1>Title</h1><p>slogan</header><main><p>text</main><footer>foot</footer>",
            "# Title\n\ntext",
        ),
        ("<p>before<img src=x alt=picture>after", "beforeafter"),
    ],
)
def test_html_becomes_markdown(tmp_path: Path, html: str, markdown: str) -> None:
    assert read(tmp_path, html) == markdown


def test_cells_that_span_are_repeated(tmp_path: Path) -> None:
    html = "<table><tr><th>a<th>b<th>c<tr><td rowspan=2>1<td colspan=2>2|3<tr><td>4<td>5</table>"
    assert read(tmp_path, html) == (
        "| a | b | c |\n| --- | --- | --- |\n| 1 | 2\\|3 | 2\\|3 |\n| 1 | 4 | 5 |"
    )


def test_a_table_of_one_column_is_text(tmp_path: Path) -> None:
    assert read(tmp_path, "<table><tr><td>one<tr><td>two</table>") == "one\n\ntwo"


def test_headings_are_the_path_of_what_stands_below_them(tmp_path: Path) -> None:
    source = tmp_path / "page.html"
    source.write_text("<h1>A <b>b</b></h1><h2>C</h2><p>text<h2>D</h2><p>more", encoding="utf-8")
    assert [(part.headings, part.page, part.boxes) for part in segments(source, HTML)] == [
        (("A b", "C"), 1, ()),
        (("A b", "D"), 1, ()),
    ]


def test_a_hundred_thousand_nested_tags_do_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, "<div><b>" * 50_000 + "deep down") == "**deep down**"


def test_entities_of_a_document_type_are_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    html = f'<!DOCTYPE html [<!ENTITY x SYSTEM "file://{secret}">]><p>&x; end</p>'
    assert "secret" not in read(tmp_path, html)


def test_a_page_in_another_encoding_is_read_by_its_bytes(tmp_path: Path) -> None:
    source = tmp_path / "page.html"
    source.write_bytes("<p>caf\u00e9 \u2013 \u20ac5".encode("cp1252"))
    assert bodies(source, HTML) == ["caf\u00e9 \u2013 \u20ac5"]
