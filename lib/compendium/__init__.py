"""What the paper's notebooks show: published numbers and claims, figures, tables, live views, site and workshop."""
