"""`make upgrade`: the control plane of this checkout, tried on a copy of the stack, then live."""
