"""The calls on arrays: what they check, what they promise, whatever back end computes them."""
