"""Generated colonoscopy-like video with exact masks and known truth, deterministic by seed."""

from endosim.data_sets import DATA_SETS, LABELLED, SOURCES
from endosim.generation import generate
from endosim.render import Frame, render_frame
from endosim.truth import TRUTH_SCHEMA

__all__ = ["DATA_SETS", "LABELLED", "SOURCES", "TRUTH_SCHEMA", "Frame", "generate", "render_frame"]
