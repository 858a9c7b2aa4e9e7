"""Code location of __name__."""
