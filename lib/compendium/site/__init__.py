"""The site: pages to read and search, built by Sphinx from a finished run and the source tree's folder ``site``.

``python -m compendium.site --out OUT --target OUT/site`` builds it. Nothing is executed: the notebooks are shown as the run
left them (`compendium.site.pages`), beside the API reference (`compendium.site.api`) and the pages of the source tree. The
result needs no server and no network.
"""

from __future__ import annotations

from compendium.site.build import build

__all__ = ["build"]
