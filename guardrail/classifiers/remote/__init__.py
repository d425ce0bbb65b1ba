"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp and their like."""

from guardrail.errors import needing

with needing("remote"):
    from guardrail.classifiers.remote.classifier import Remote
    from guardrail.classifiers.remote.limits import Stats
    from guardrail.classifiers.remote.writing import LLAMA3

__all__ = ["LLAMA3", "Remote", "Stats"]
