"""The version of Docker Engine's API that this package speaks, on every engine.

It is the one that the gateway sends to the engine (deploy/gateway/docker): the engine's own could
be a newer one, and answer the same question otherwise.
"""

API_VERSION = "1.45"
"""Of Engine 26, the oldest that the stack runs on."""
