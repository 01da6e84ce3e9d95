"""Live views for notebooks: each a function from its settings to a figure or to HTML, and sliders which call it.

A notebook shows each view once for its default settings, and the sliders where somebody is there to move them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import HTML, display
from matplotlib.figure import Figure

from meddel.errors import MedDELError


def attended() -> bool:
    """Return whether somebody is there to move a slider: JupyterLab lets a cell ask something, papermill does not.

    Controls are made only then, because an executed notebook keeps the state of every widget, and a page made from it
    would show sliders which nothing answers.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    request = {} if kernel is None else kernel.get_parent("shell")
    return bool(request.get("content", {}).get("allow_stdin"))


def with_controls(view: Callable[..., Figure | str], controls: Mapping[str, ipywidgets.Widget]) -> ipywidgets.VBox:
    """Return `controls`, by the names of the view's settings, above `view`, which is drawn again when one changes.

    A `MedDELError` of the view is shown in its place.
    """

    def draw(**settings: object) -> None:
        try:
            shown = view(**settings)
            display(HTML(shown) if isinstance(shown, str) else shown)
        except MedDELError as error:
            print(error)

    return ipywidgets.VBox([*controls.values(), ipywidgets.interactive_output(draw, dict(controls))])
