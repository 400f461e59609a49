"""
/docs and /redoc: two pages, whose scripts and styles come from this server and nowhere else.

Gateways stand in closed networks, so nothing is taken from a CDN, and the Content-Security-Policy makes sure of it:
the browser itself refuses any other host, and any script that is not a file of ours.
Paths are relative, so that the pages work behind a proxy that serves Foz under a prefix.
"""

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"

_RULES = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",  # both programs write styles into the page
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "connect-src 'self'",
    "worker-src blob:",  # Redoc's search
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
POLICY = "; ".join(_RULES)

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Foz: {title}</title>
<link rel="icon" href="data:,">
{styles}
</head>
<body>
<div id="reference" data-openapi="{up}openapi.json"></div>
{scripts}
</body>
</html>
"""
_PROGRAMS = {
    "docs": ("API", ("page.css", "swagger-ui.css"), ("swagger-ui-bundle.js", "swagger.js")),
    "redoc": ("reference", ("page.css",), ("redoc.standalone.js", "redoc.js")),
}


def page(name: str, version: str, up: str = "") -> str:
    """The page `docs` or `redoc`; `up` is the way from the page's folder to the root."""
    title, styles, scripts = _PROGRAMS[name]
    place = f"{up}docs/assets"
    return _PAGE.format(
        title=title,
        up=up,
        styles="\n".join(f'<link rel="stylesheet" href="{place}/{file}?v={version}">' for file in styles),
        scripts="\n".join(f'<script src="{place}/{file}?v={version}"></script>' for file in scripts),
    )
