"""From a document to one HTML text that needs nothing else: data, styles, scripts and the plotting library inside."""

from __future__ import annotations

import base64
import hashlib
import html
import os
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from nasbench.errors import DefinitionError, StoreError
from nasbench.report.document import Document, to_json

SCRIPTS = ("numbers", "elements", "charts", "front", "network", "findings", "measuring", "page")
"""The files of `script/`; the last one starts."""


def make_page(document: Document) -> str:
    """Give the page; equal documents give equal pages.

    Scripts run by their hashes alone, so nothing that stands in the data can be one. Nothing is loaded; a live page
    asks its own server for news and no other. Where the graphics card draws, plotly's script may make code, which it
    does from its own shaders and never from data.

    Raises:
        DefinitionError: the package plotly, whose script draws the charts, is not installed.
    """
    script, plotly = read_script(), read_plotly()
    sources = " ".join(f"'sha256-{_digest(text)}'" for text in (plotly, script))
    if document.graphics:
        sources += " 'unsafe-eval'"
    news = "'self'" if document.live else "'none'"
    policy = (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data: blob:; "
        f"connect-src {news}; base-uri 'none'; form-action 'none'"
    )
    return Template(_own("template.html")).substitute(
        policy=policy,
        title=html.escape(document.title),
        style=_own("report.css"),
        document=to_json(document),
        plotly=plotly,
        script=script,
    )


def write_page(text: str, out: Path) -> None:
    """Write a page whole or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        if out.parent.is_dir():
            temporary.unlink(missing_ok=True)


def read_script() -> str:
    """Give the page's own script: the files of `script/` in their order, in one function of their own."""
    return "".join(['"use strict";\n(() => {\n', *(_own(f"script/{name}.js") for name in SCRIPTS), "})();\n"])


def read_plotly() -> str:
    """Give plotly's script from the package plotly, which is found and not imported: that takes a second.

    Raises:
        DefinitionError: it is not there, or holds what would end the script's element.
    """
    spec = find_spec("plotly")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise DefinitionError(
            "the package plotly is not installed, and its script draws the charts: pip install plotly"
        )
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in text.lower():
        raise DefinitionError(f"{path} holds '</script', which ends a script inside a page; another plotly is needed")
    return text


def _own(name: str) -> str:
    return (files("nasbench.report") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
