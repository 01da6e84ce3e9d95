"""Generated colonoscopy-like video with exact masks and known truth, deterministic by seed."""

from endosim.data_sets import DATA_SETS, LABELLED, SOURCES
from endosim.generation import TRUTH_SCHEMA, generate
from endosim.render import Frame, render_frame

__all__ = ["DATA_SETS", "LABELLED", "SOURCES", "TRUTH_SCHEMA", "Frame", "generate", "render_frame"]
