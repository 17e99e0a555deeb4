"""OpenAI's SDK: the client for Azure."""

from __future__ import annotations

import openai

from .openai_chat import OpenAIChat

__all__ = ["OpenAIAzure"]


class OpenAIAzure(OpenAIChat):
    """`openai.AzureOpenAI`, to which models are deployments."""

    name = "openai for Azure"

    def connect(self, url: str) -> openai.OpenAI:
        """See `OpenAIChat`."""
        return openai.AzureOpenAI(
            azure_endpoint=url, api_key="unused", api_version="2024-10-21", max_retries=0
        )
