"""Code locations come and go: names, files, and what runs."""
