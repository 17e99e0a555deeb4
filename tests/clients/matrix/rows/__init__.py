"""The rows of the matrix: one file for each client."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from ..contract import Client

__all__ = ["ROWS", "client_class"]

ROWS: Mapping[str, str] = {
    "openai": "openai_chat:OpenAIChat",
    "openai, asynchronous": "openai_async:OpenAIAsync",
    "openai, responses": "openai_responses:OpenAIResponses",
    "openai for Azure": "openai_azure:OpenAIAzure",
    "anthropic": "anthropic_messages:AnthropicMessages",
    "google-genai": "google_genai:GoogleGenAI",
    "mistralai": "mistral:MistralAI",
    "huggingface_hub": "hugging_face:HuggingFace",
    "langchain-openai": "langchain_chat:LangChain",
    "pydantic-ai": "pydantic_agent:PydanticAI",
    "instructor": "instructor_models:Instructor",
    "openai for Node": "openai_node:OpenAINode",
}
"""Name -> module and class. Imported when used, since not every client is installed everywhere."""


def client_class(name: str) -> type[Client]:
    """The class of a row. Raises `ImportError` where the client is not installed."""
    module, _, attribute = ROWS[name].partition(":")
    found: type[Client] = getattr(import_module(f".{module}", __name__), attribute)
    return found
