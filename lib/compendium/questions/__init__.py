"""Questions which the paper leaves open: other modalities, the best ratio for a task, the quality of the images."""
