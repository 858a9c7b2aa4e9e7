"""The one way from the control plane to Docker Engine.

Each request is parsed into a call, the call is checked, and a new request is made of the checked
values. Nothing that a caller wrote reaches the engine.
"""
