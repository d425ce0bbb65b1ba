"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp and their like."""

from guardrail.errors import MissingExtraError

try:
    from guardrail.classifiers.remote.classifier import Remote
    from guardrail.classifiers.remote.session import Stats
    from guardrail.classifiers.remote.writing import LLAMA3
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("guardrail"):
        raise
    raise MissingExtraError(library=error.name, extra="remote") from error

__all__ = ["LLAMA3", "Remote", "Stats"]
