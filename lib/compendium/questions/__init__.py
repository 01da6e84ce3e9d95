"""What the paper leaves open: other modalities, the best ratio for a task, quality in medical and natural images.

`modalities` asks whether the selection helps beyond endoscopy, `best_ratio` finds the ratio that a person should take
at their own price of data, and `quality` doses the faults of a pool and measures what they cost.
"""
