"""Images as people have them: found, read, indexed, split, decoded once (section 3.1)."""
