"""Where the text stands in LangChain's messages, and what of them is text at all.

The content blocks are LangChain's own types and those that OpenAI, Anthropic, Google and Bedrock
use. A type that is not named here is withheld: media, and whatever comes in the next release.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "CALLS",
    "CALL_KWARGS",
    "FRAME",
    "KWARGS",
    "NOTES",
    "OPAQUE",
    "PLAIN",
    "SEALED",
    "TEXTS",
    "WRITTEN",
    "Part",
]


class Part(StrEnum):
    """The parts of a message, each judged by itself.

    TEXT: the reply, whether content, content block or a model's own refusal.
    REASONING: what the model thought before it.
    NOTES: what else can be read: citations, results of the provider's tools, unusual metadata.
    CALLS: names and arguments of tool calls, judged once they are whole.
    """

    TEXT = "text"
    REASONING = "reasoning"
    NOTES = "notes"
    CALLS = "calls"


TEXTS = {
    "text": (Part.TEXT, "text"),
    "output_text": (Part.TEXT, "text"),
    "text-plain": (Part.TEXT, "text"),
    "refusal": (Part.TEXT, "refusal"),
    "reasoning": (Part.REASONING, "reasoning"),
    "thinking": (Part.REASONING, "thinking"),
    "reasoning_content": (Part.REASONING, "reasoning_content"),
}
"""Blocks of text: the part they belong to, and the key their text stands under."""

CALLS = {
    *("tool_call", "tool_call_chunk", "invalid_tool_call"),
    *("tool_use", "input_json_delta", "function_call", "custom_tool_call"),
}
"""Blocks of tool calls, or of pieces of them."""

NOTES = {
    *("server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use"),
    *("web_search_call", "web_search_result", "web_search_tool_result", "file_search_call"),
    *("code_interpreter_call", "code_execution_tool_result", "mcp_call"),
    *("executable_code", "code_execution_result"),
}
"""Blocks of the provider's own tools."""

SEALED = {"redacted_thinking"}
"""Blocks that only the provider can read."""

KWARGS = {
    "refusal": Part.TEXT,
    "reasoning_content": Part.REASONING,
    "reasoning": Part.REASONING,
    "parsed": Part.NOTES,
    "citations": Part.NOTES,
    "search_results": Part.NOTES,
    "related_questions": Part.NOTES,
}
"""Additional arguments with text, and the part it belongs to."""

CALL_KWARGS = ("tool_calls", "function_call")
"""Additional arguments with tool calls."""

WRITTEN = {"args", "arguments", "input", "partial_json"}
"""Keys of what the model itself writes in a call: whatever is below them is judged."""

FRAME = {*WRITTEN, "name", "function", "error"}
"""Keys that every call has."""

OPAQUE = {
    *("type", "id", "index", "status", "call_id", "tool_call_id", "tool_use_id"),
    *("signature", "thought_signature", "encrypted_content", "encrypted_index"),
}
"""Keys of names and signatures: what looks like one there is not judged."""

PLAIN = {
    *("finish_reason", "stop_reason", "stop_sequence", "done_reason", "done", "status"),
    *("model", "model_name", "model_id", "model_provider", "system_fingerprint", "service_tier"),
    *("id", "object", "created", "created_at", "request_id", "output_version"),
    *("usage", "token_usage", "usage_metadata", "safety_ratings", "prompt_feedback"),
}
"""Metadata in the provider's own words, not the model's: names and numbers there are not judged."""
