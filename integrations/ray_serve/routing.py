"""Which replica is asked: the one that has read the conversation before, unless it is busy."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Iterable, Sequence
from typing import Any

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from guardrail.types import Conversation

__all__ = ["ConversationRouter", "homes", "key_of"]

_BUSIER = 8  # calls; past this, reading a conversation anew costs less than waiting in line
_NEAR = 3  # replicas that a conversation comes to before all others
_STRANGERS = 2  # and others, so that what everybody says first does not stay with these alone


def key_of(conversation: Conversation) -> str:
    """Return what all checks of one growing turn share: a hash of what precedes it, if anything."""
    if len(conversation) < 2:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    for turn in conversation[:-1]:
        for part in (turn.role, turn.content):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8) + raw)
    return digest.hexdigest()


def homes(key: str, replicas: Iterable[str]) -> list[str]:
    """Return the replicas that a conversation comes to before all others, the first first.

    They are the highest of a hash of both (rendezvous hashing): every gateway finds the same ones,
    nothing is stored, and a replica that comes or goes moves only its own conversations.
    """

    def weight(replica: str) -> bytes:
        return hashlib.blake2b(f"{key} {replica}".encode(), digest_size=8).digest()

    return heapq.nlargest(_NEAR, replicas, key=weight)


class ConversationRouter(RequestRouter):
    """Sends each conversation home; while that is busy, to the least loaded of a few others.

    First among these are its next homes, always the same. When all are full, any replica will do.
    """

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Return groups of replicas to try in turn; of each the least loaded is taken."""
        if pending_request is None or not candidate_replicas:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        home, *others = self._near(pending_request.metadata, candidate_replicas)
        others += random.sample(candidate_replicas, min(_STRANGERS, len(candidate_replicas)))
        groups = [[home], others, candidate_replicas]
        return groups[1:] if self._is_busier(home, others) else groups

    def _near(self, metadata: Any, replicas: Sequence[RunningReplica]) -> list[RunningReplica]:
        """Return a conversation's homes; what has no past is at home anywhere."""
        named = {replica.replica_id.unique_id: replica for replica in replicas}
        names = homes(metadata.session_id or metadata.internal_request_id, named)
        return [named[name] for name in names]

    def _is_busier(self, home: RunningReplica, others: Sequence[RunningReplica]) -> bool:
        return self._load(home) - min(map(self._load, others)) > _BUSIER

    def _load(self, replica: RunningReplica) -> int:
        return self._replica_queue_len_cache.get(replica.replica_id) or 0
