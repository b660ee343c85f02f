"""What of a web page is not its text: scripts, menus, controls, and what is hidden."""

_SKIPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "math",
        "nav",
        "aside",
        "iframe",
        "object",
        "audio",
        "video",
        "canvas",
        "select",
        "button",
        "textarea",
        "head",
        "dialog",
    ]
)
_SKIPPED_ROLES = frozenset(
    ["navigation", "banner", "contentinfo", "search", "complementary", "menu", "dialog"]
)
_SKIPPED_CLASSES = frozenset(
    [
        "navbox",
        "navbar",
        "toc",
        "interlanguage-link",
        "vector-menu",
        "vector-dropdown",
        "mw-editsection",
        "mw-jump-link",
        "noprint",
        "catlinks",
        "printfooter",
        "breadcrumb",
        "breadcrumbs",
        "skip-link",
        "sr-only",
        "visually-hidden",
        "cookie-banner",
        "mw-indicators",
        "vector-page-toolbar",
        "reference",
        "mw-authority-control",
    ]
)


def is_boilerplate(tag: str, attributes: dict[str, str]) -> bool:
    """Tell whether an element is left out, with all that stands in it."""
    if tag in _SKIPPED:
        return True
    if not attributes or tag in ("html", "body", "main", "article"):
        return False
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if attributes.get("role") in _SKIPPED_ROLES:
        return True
    classes = attributes.get("class")
    return classes is not None and not _SKIPPED_CLASSES.isdisjoint(classes.casefold().split())
