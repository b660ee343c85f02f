"""What a file is, told from its first bytes and never from its name."""

import re

import puremagic

HEAD_BYTES = 8192
"""How much of a file `media_type` wants to see."""

UNKNOWN = "application/octet-stream"

# Names of the first entries of a ZIP archive, where the format or every writer fixes them.
_ZIPS = (
    (b"mimetypeapplication/epub+zip", "application/epub+zip"),
    (b"mimetypeapplication/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
    (
        b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.spreadsheet",
    ),
    (
        b"mimetypeapplication/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.presentation",
    ),
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
_EXTENSIONS = {
    "application/pdf": "pdf",
    "application/epub+zip": "epub",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
    "message/rfc822": "eml",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jp2": "jp2",
    "image/png": "png",
    "image/webp": "webp",
    "image/jpeg": "jpg",
    "image/tiff": "tiff",
}
_PAGED = frozenset(
    (
        "application/pdf",
        "application/epub+zip",
        "text/html",
        "text/markdown",
        "text/plain",
    )
)
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|title|h1|div|table|p)[\s>]", re.IGNORECASE)
_MAIL = re.compile(rb"\A(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*\n(?:[ \t][^\n]*\n)*){2,}", re.MULTILINE)
_MAIL_FIELDS = re.compile(
    rb"^(from|date|message-id|received|mime-version):", re.IGNORECASE | re.MULTILINE
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))
_MARKDOWN = (
    re.compile(rb"^#{1,6} \S", re.MULTILINE),
    re.compile(rb"^(```|~~~)", re.MULTILINE),
    re.compile(rb"^\|.*\|\s*\n\|[\s:|-]+\|\s*$", re.MULTILINE),
    re.compile(rb"!?\[[^\[\]\n]+\]\([^()\s]+\)"),
    re.compile(rb"^[^\n]+\n(=|-){3,}\s*$", re.MULTILINE),
)


_PICTURES = (
    (re.compile(rb"II\+\0|MM\0\+"), "image/tiff"),  # the form for files beyond 4 GiB
    (re.compile(rb"\0\0\0\x0cjP  "), "image/jp2"),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb".{4}ftyp(hei[cmsx]|hev[cx]|mif1|msf1)", re.DOTALL), "image/heic"),
)
_OTHER_NAMES = {"image/x-ms-bmp": "image/bmp", "image/pjpeg": "image/jpeg"}


def media_type(head: bytes) -> str:
    """Return the media type of a file that begins with these bytes.

    head: the first HEAD_BYTES, or the whole file where it is shorter. What is not known is
    `application/octet-stream`; text that shows Markdown's marks is `text/markdown`.
    """
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    if head.startswith(b"PK\x03\x04"):
        return next((kind for mark, kind in _ZIPS if mark in head), "application/zip")
    if _is_text(head):
        return _text_type(head)
    for mark, kind in _PICTURES:
        if mark.match(head):
            return kind
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return UNKNOWN
    found = next((match.mime_type for match in matches if match.mime_type), UNKNOWN)
    return _OTHER_NAMES.get(found, found)


def has_length(kind: str) -> bool:
    """Return whether the length of such a file can be counted."""
    return kind in _PAGED or kind.startswith("image/")


def extension(kind: str, filename: str) -> str | None:
    """Return the usual extension of a media type, else that of the name; without the dot."""
    known = _EXTENSIONS.get(kind)
    if known is not None:
        return known
    _, dot, last = filename.rpartition(".")
    return last.lower() if dot and re.fullmatch(r"[A-Za-z0-9]{1,16}", last) else None


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if b"\0" in head:
        return False
    controls = sum(byte in _CONTROLS for byte in head)
    return controls == 0 and bool(head.strip())


def _text_type(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "replace").encode()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{\\rtf"):
        return "application/rtf"
    if start.startswith(b"<?xml") and not _HTML.search(start[:2048]):
        return "application/xml"
    if start.startswith(b"<") and _HTML.search(start[:2048]):
        return "text/html"
    lines = start.replace(b"\r\n", b"\n")
    if _MAIL.match(lines) and _MAIL_FIELDS.search(lines):
        return "message/rfc822"
    # One mark may be chance (a comment in a script begins with "# "); two kinds are not.
    marks = sum(bool(mark.search(lines)) for mark in _MARKDOWN)
    return "text/markdown" if marks > 1 or len(_MARKDOWN[0].findall(lines)) > 1 else "text/plain"
