"""Sphinx's settings for the site. `python -m compendium.site` gathers the sources and calls Sphinx."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from meddel import __version__

sys.path.insert(0, str(Path(__file__).resolve().parent / "extensions"))

project = "Data-effective learning"
author = "The data-effective learning compendium authors"
project_copyright = author
version = release = __version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "docstrings",
    "mathml",
]
exclude_patterns = ["notebooks/costs.txt", "report", "static", "reference/api/*/modules.rst"]

# The notebooks are shown as the run left them.
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "text/markdown", 0)]
nb_render_markdown_format = "myst"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
html_math_renderer = "mathml"

# The API reference: a page for each package, with its modules as sections. What a package re-exports is shown where it
# is defined; for packages, apidoc takes that option from here alone.
os.environ["SPHINX_APIDOC_OPTIONS"] = "members,ignore-module-all"
PACKAGES = ("meddel", "datadel", "compendium", "endosim", "meddel_kernels")
apidoc_modules = [
    {
        "path": str(Path(find_spec(name).origin).parent),
        "destination": f"reference/api/{name}",
        "module_first": True,
    }
    for name in PACKAGES
]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"exclude-members": "model_config"}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "py:obj"
# A bare name in a docstring may belong to several modules; the first is as good as the others.
suppress_warnings = ["ref.python"]

bibtex_bibfiles = ["reference/references.bib"]
bibtex_default_style = "alpha"

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["static"]
html_extra_path = ["report"]  # the run's report, whose links to notebooks lead to their pages here
html_favicon = "static/favicon.svg"
html_css_files = ["site.css"]
html_js_files = [(name, {"defer": "defer"}) for name in ("sort_tables.js", "mend_roles.js")]
html_context = {"default_mode": "auto"}
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_domain_indices = False
html_sidebars = {"index": [], "search": []}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
