"""`make doctor`: read-only checks, each a function of its own, and an archive for questions."""
