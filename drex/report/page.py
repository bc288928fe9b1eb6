"""HTML pages that hold their pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from html import escape

from matplotlib.figure import Figure

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
img, video { max-width: 100%; } figure { margin: 1.5rem 0; } figcaption { font-size: .9rem; color: #555; }
.verdict { font-size: 1.15rem; }
.warning { border-left: 4px solid #c60; background: #fff6ec; padding: .5rem 1rem; }
pre { background: #f6f6f6; padding: .7rem; white-space: pre-wrap; font-size: .85rem; }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page: the title as heading, then the body, which is HTML already."""
    return "\n".join(_lines(title, body))


def _lines(title: str, body: Iterable[str]) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>{escape(title)}</h1>"
    yield from body
    yield "</body>\n</html>"


def picture(png: bytes, caption: str) -> str:
    """A picture with its caption."""
    source, words = base64.b64encode(png).decode(), escape(caption)
    image = f'<img alt="{words}" src="data:image/png;base64,{source}">'
    return f"<figure>\n{image}<figcaption>{words}</figcaption>\n</figure>"


def png_of(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
