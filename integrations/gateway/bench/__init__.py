"""`guardrail bench gateway`: the gateway beside a plain proxy, in one run on one machine.

A fake upstream, the gateway and a plain proxy run in processes of their own; the clients are the
official one, many calls at once. The classifier is a stub that takes 20 ms.
"""

from __future__ import annotations

from guardrail.integrations.gateway.bench.command import main

__all__ = ["main"]
