"""Live views for notebooks: each a function from its settings to a figure or to HTML, and sliders that call it.

The views need no browser and no widget: a notebook shows each once for its default settings, and a `Panel` offers the
sliders where somebody is there to move them.
"""

from compendium.live.one_pass import OnePass, one_pass
from compendium.live.panel import Panel, attended

__all__ = ["OnePass", "Panel", "attended", "one_pass"]
