"""The contents of the notebooks: published numbers and claims, figures, tables, live views, site and workshop."""
