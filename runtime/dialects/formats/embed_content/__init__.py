"""Google's embeddings: one format in three ways of asking, of which a model takes one or two.

- `batch`: `batchEmbedContents`, up to a hundred texts; the Gemini API. It counts each text as a request against its limits.
- `single`: `embedContent`, one text; Vertex AI's newer models.
- `predict`: `predict`, Vertex AI's models before those. Of `gemini-embedding-001` one text, of others up to 250.

`request` writes the bodies, `reply` reads the answers, `half.Embedder` is both for a dialect. Towards clients: `reading` reads
the bodies, and `reply` writes the answers.
"""

from __future__ import annotations

from typing import Final

from ....vectors import Task

__all__ = ["FORMAT", "TASKS"]

FORMAT: Final = "embed_content"
"""The name under which requests carry what only this format understands."""

TASKS: Final[dict[Task, str]] = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "question_answering": "QUESTION_ANSWERING",
    "fact_verification": "FACT_VERIFICATION",
    "code_query": "CODE_RETRIEVAL_QUERY",
}
"""Google's words for what vectors are for."""
