"""Runs one of the servers: python -m guardrail.integrations.gateway.bench ROLE PORT UPSTREAM."""

from __future__ import annotations

import sys

from guardrail.integrations.gateway.bench.servers import run

run(sys.argv[1], int(sys.argv[2]), sys.argv[3])
