"""How many replicas there are, and what each of them takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from guardrail.integrations.gateway.serving import ServingConfig

__all__ = ["ClusterConfig", "GatewayScaling", "RayConfig", "Scaling"]

_VARIABLES = ("upstream", "upstream_key", "keys")
_Count = Annotated[int, Field(ge=1)]
_Amount = Annotated[float, Field(ge=0.0)]


class Scaling(BaseModel):
    """How one part of the application grows; the names are those of Ray Serve.

    Args:
        min_replicas: kept in any case.
        max_replicas: started at most.
        target_ongoing_requests: calls that each replica should have in hand on average; where it
            is more, replicas are added.
        max_ongoing_requests: calls that a replica takes at once.
        max_queued_requests: calls that may wait for a replica, in each process that makes them;
            further ones fail at once.
        upscale_delay_s: seconds that more replicas must be wanted for.
        downscale_delay_s: seconds that fewer must.
        max_surge_percent: replicas of a new version that are started before old ones stop; with 0,
            where there is no room for both, nobody is served meanwhile.
        num_cpus: CPUs that each replica reserves.
        num_gpus: GPUs that each does; below 1, replicas share one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_replicas: _Count = 1
    max_replicas: _Count = 4
    target_ongoing_requests: Annotated[float, Field(gt=0.0)] = 8.0
    max_ongoing_requests: _Count = 256
    max_queued_requests: _Count = 1024
    upscale_delay_s: _Amount = 30.0
    downscale_delay_s: _Amount = 600.0
    max_surge_percent: Annotated[int, Field(ge=0, le=100)] = 100
    num_cpus: _Amount = 1.0
    num_gpus: _Amount = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas should not be below min_replicas")
        return self

    def options(self) -> dict[str, Any]:
        """Return the options of the deployment."""
        return {
            **self._replicas(),
            "max_ongoing_requests": self.max_ongoing_requests,
            "max_queued_requests": self.max_queued_requests,
            "max_surge_percent": self.max_surge_percent,
            "ray_actor_options": {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus},
        }

    def _replicas(self) -> dict[str, Any]:
        if self.min_replicas == self.max_replicas:
            return {"num_replicas": self.min_replicas}
        names = ("min_replicas", "max_replicas", "target_ongoing_requests")
        delays = ("upscale_delay_s", "downscale_delay_s")
        return {"autoscaling_config": {name: getattr(self, name) for name in (*names, *delays)}}


class GatewayScaling(Scaling):
    """For gateways, which wait more than they work: a stream is one call, as long as it lasts."""

    target_ongoing_requests: Annotated[float, Field(gt=0.0)] = 100.0
    max_ongoing_requests: _Count = 1000


class RayConfig(BaseModel):
    """The table `[ray]`.

    Args:
        classifier: the replicas that judge.
        gateway: the replicas that stand between clients and the upstream.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classifier: Scaling = Scaling()
    gateway: GatewayScaling = GatewayScaling()


class ClusterConfig(ServingConfig):
    """The settings of `guardrail serve`, and how many replicas there are.

    Where the gateway listens is Serve's business, so that `host` and `port` are not read. Records
    are kept only in a database that is named: the replicas are on several machines.

    Args:
        ray: how many replicas there are.
    """

    ray: RayConfig = RayConfig()

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """Return what `serve run` was told: by its arguments, by the environment, by the file.

        Args:
            arguments: `config` names the file, otherwise `GUARDRAIL_CONFIG` does; the others are
                settings of `[gateway]`. The variables of `guardrail serve` count here, too.

        Raises:
            ConfigError: a setting is wrong.
        """
        options = dict(arguments)
        config = cls.load(options.pop("config", None))
        return config.with_options({**_variables(), **options})


def _variables() -> dict[str, Any]:
    found = {name: os.environ.get(f"GUARDRAIL_{name.upper()}", "") for name in _VARIABLES}
    told: dict[str, Any] = {name: value for name, value in found.items() if value}
    if keys := told.get("keys", "").split():
        told["keys"] = keys
    return told
