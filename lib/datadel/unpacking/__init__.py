"""Archives into folders: whole or not at all, nothing outside the folder, and no bombs."""
