"""The words of everybody who speaks the chat-completions format: OpenAI, Azure, and the services that are
compatible with them, gateways among them that pass on what Anthropic, Google or AWS said.
"""

from __future__ import annotations

from typing import Final

from ....actors.faults import FaultClass
from ..recognise import ANY, Rule
from .anthropic import ANTHROPIC
from .google import GOOGLE
from .shared import text

__all__ = ["COMPATIBLE"]

_OPENAI: Final = "OpenAI"
_GROQ: Final = "Groq"
_MISTRAL: Final = "Mistral"
_ZAI: Final = "z.ai"
_ALIBABA: Final = "Alibaba"
_AWS: Final = "AWS"

_LIMITS: Final[tuple[Rule, ...]] = (
    # No waiting cures a request that is larger than a whole minute's limit, though it has a rate limit's code.
    Rule(
        kind=FaultClass.TOO_LARGE, said_by="OpenAI and Groq", statuses=(429,),
        message=text(r"request too large"),
    ),
    Rule(
        kind=FaultClass.RATE_LIMITED, said_by=_ALIBABA, statuses=(429,), words=("insufficient_quota",),
        message=text(r"^allocated quota exceeded"),
    ),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_OPENAI,
        words=(
            "insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached",
            "organization_usage_limit_exceeded", "billing_not_active", "*_spend_limit_exceeded",
        ),
    ),
    Rule(kind=FaultClass.QUOTA_EXHAUSTED, said_by="Cerebras", words=("payment_required",)),
    Rule(kind=FaultClass.QUOTA_EXHAUSTED, said_by=_GROQ, words=("blocked_api_access",)),
    Rule(kind=FaultClass.QUOTA_EXHAUSTED, said_by=_ALIBABA, words=("Arrearage",)),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by="Novita, through Hugging Face",
        words=("NOT_ENOUGH_BALANCE",),
    ),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_ZAI, statuses=(429,), words=("1113", "1308", "1309", "1310")
    ),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_AWS, statuses=(400,),
        words=("ServiceQuotaExceededException",),
    ),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by="Azure, OpenRouter and Cohere", statuses=(403, 429),
        message=text(r"out of call volume quota", r"^key limit exceeded", r"API calls / month"),
    ),
    Rule(kind=FaultClass.CONCURRENCY_LIMITED, said_by=_ZAI, statuses=(429,), words=("1302",)),
    Rule(kind=FaultClass.DAILY_LIMIT, said_by=_ZAI, statuses=(429,), words=("1304",)),
    Rule(
        kind=FaultClass.DAILY_LIMIT, said_by="GitHub Models, OpenRouter and Cloudflare", statuses=(429,),
        message=text(
            r"per 86400 ?s", r"free-models-per-day", r"daily free allocation"
        ),
    ),
    Rule(
        kind=FaultClass.RAMP_LIMITED, said_by=_OPENAI, statuses=(429, 503), words=("slow_down",)
    ),
    Rule(
        kind=FaultClass.RAMP_LIMITED, said_by=_ALIBABA, statuses=(429,),
        words=("limit_burst_rate", "Throttling.BurstRate"),
    ),
    Rule(
        kind=FaultClass.RAMP_LIMITED, said_by=_ALIBABA, statuses=(429,),
        message=text(r"request rate increased too quickly"),
    ),
    Rule(
        kind=FaultClass.OVERLOADED, said_by=_OPENAI, statuses=ANY,
        words=("server_is_overloaded", "engine_overloaded"),
    ),
    Rule(
        kind=FaultClass.OVERLOADED, said_by="Groq, Cerebras and Azure", statuses=ANY,
        words=("capacity_exceeded", "queue_exceeded", "NoCapacity"),
    ),
    Rule(kind=FaultClass.OVERLOADED, said_by=_ZAI, statuses=(429,), words=("1305", "1312")),
    Rule(
        kind=FaultClass.OVERLOADED, said_by=_AWS, statuses=(429, 503),
        words=("ModelNotReadyException", "ServiceUnavailableException"),
    ),
    Rule(
        kind=FaultClass.OVERLOADED, said_by="several vendors", statuses=(429, 500),
        message=text(
            r"(?:model|engine|server|service)s? (?:is|are|may be) (?:currently |temporarily )?(?:overloaded|at capacity)",
            r"capacity temporarily exceeded",
        ),
    ),
    Rule(
        kind=FaultClass.RATE_LIMITED, said_by="several vendors", statuses=(400, 403),
        words=(
            "rate_limit_exceeded", "rate_limit_error", "too_many_requests", "ThrottlingException",
            "TooManyRequestsException",
        ),
    ),
)  # fmt: skip

_KEYS: Final[tuple[Rule, ...]] = (
    Rule(
        kind=FaultClass.AUTH, said_by=_OPENAI,
        words=(
            "invalid_api_key", "account_deactivated", "authentication_error", "mismatched_organization",
            "mismatched_project", "ip_not_authorized",
        ),
    ),
    Rule(
        kind=FaultClass.AUTH, said_by="Cerebras, Alibaba and Novita",
        words=("wrong_api_key", "InvalidApiKey", "INVALID_API_KEY", "FAILED_TO_AUTH"),
    ),
    Rule(
        kind=FaultClass.AUTH, said_by=_ZAI, statuses=(400, 401, 403, 429),
        words=("1000", "1001", "1002", "1003", "1004", "1110", "1111", "1112", "1121"),
    ),
    Rule(
        kind=FaultClass.AUTH, said_by=_AWS, statuses=(400, 403),
        words=("UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"),
    ),
    Rule(
        kind=FaultClass.AUTH, said_by="xAI and others", statuses=(400, 403, 404),
        message=text(r"(?:incorrect|invalid|wrong|missing).{0,20}api[ _-]?(?:key|token)", r"API key is invalid"),
    ),
)  # fmt: skip

_MODELS: Final[tuple[Rule, ...]] = (
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_OPENAI,
        words=("model_not_found", "unsupported_country_region_territory"),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by="Azure",
        words=("DeploymentNotFound", "OperationNotSupported", "unknown_model", "unavailable_model"),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_GROQ,
        words=("model_decommissioned", "model_terms_required", "model_permission_blocked_*"),
    ),
    Rule(kind=FaultClass.NO_MODEL, said_by="Mistral and Perplexity", words=("invalid_model",)),
    Rule(
        kind=FaultClass.NO_MODEL, said_by="Together, Hugging Face and Novita",
        words=("model_not_available", "model_not_supported", "MODEL_NOT_FOUND"),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_ALIBABA,
        words=("ModelNotFound", "Model.AccessDenied", "AllocationQuota.FreeTierOnly"),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_ZAI, statuses=(400, 403, 404, 429),
        words=("1211", "1220", "1221", "1222", "1311"),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by="OpenAI, DeepSeek, OpenRouter, xAI, AWS and Cloudflare",
        statuses=(400, 403, 422),
        message=text(
            r"\bmodel\b.{0,80}\b(?:does not|doesn't) exist", r"model not (?:exist|found)", r"no such model",
            r"invalid model\b", r"not a valid model id", r"supported api model names are",
            r"model identifier is invalid", r"not allowed to sample from this model",
            r"(?:(?:not|n't) have|no) access to (?:the )?model", r"on-demand throughput isn.t supported",
            r"no route for that uri",
        ),
    ),
)  # fmt: skip

_CALLERS: Final[tuple[Rule, ...]] = (
    Rule(kind=FaultClass.CONTEXT_LENGTH, said_by=_OPENAI, words=("context_length_exceeded",)),
    Rule(
        kind=FaultClass.CONTEXT_LENGTH, said_by="llama.cpp", statuses=(400, 500),
        words=("exceed_context_size_error",),
    ),
    Rule(kind=FaultClass.CONTEXT_LENGTH, said_by="Perplexity", words=("too_many_prompt_tokens",)),
    Rule(kind=FaultClass.CONTEXT_LENGTH, said_by="Cohere", words=("TOO_MANY_TOKENS",)),
    Rule(kind=FaultClass.CONTEXT_LENGTH, said_by=_ZAI, statuses=(400,), words=("1261",)),
    Rule(
        kind=FaultClass.REFUSED, said_by="OpenAI and Azure",
        words=(
            "content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation", "moderation_blocked"
        ),
    ),
    Rule(
        kind=FaultClass.REFUSED, said_by=_ALIBABA, words=("data_inspection_failed", "DataInspectionFailed")
    ),
    Rule(kind=FaultClass.REFUSED, said_by=_ZAI, statuses=(400,), words=("1301",)),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_OPENAI, statuses=(400, 404, 422),
        words=("unsupported_parameter", "unsupported_value"), elsewhere=True,
    ),
    Rule(
        # A thought under the seal of another vendor, or of another account.
        kind=FaultClass.BAD_REQUEST, said_by=_OPENAI, statuses=(400,), words=("invalid_encrypted_content",),
        elsewhere=True,
    ),
    Rule(
        # What one vendor has stored no other has: an answer, an item, a prompt.
        kind=FaultClass.BAD_REQUEST, said_by=_OPENAI, statuses=(400, 404),
        words=("previous_response_not_found",),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_OPENAI, statuses=(404,), words=("invalid_request_error",),
        message=text(r"^item with id .* not found"),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by="Cerebras", words=("multimodal_not_enabled",), elsewhere=True
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_MISTRAL, statuses=(400, 422), words=("3051",), elsewhere=True
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by="llama.cpp", statuses=(400, 501), words=("not_supported_error",),
        elsewhere=True,
    ),
    Rule(
        # Cloudflare's refusals come as 403 whatever they are about.
        kind=FaultClass.BAD_REQUEST, said_by="Cloudflare", statuses=(403,), message=text(r"^AiError:.*not supported"),
        elsewhere=True,
    ),
)  # fmt: skip

_MASKED: Final[tuple[Rule, ...]] = (
    # A request that makes a server fail each time would open its circuit for everybody else.
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by="Ollama and llama.cpp", statuses=(500,),
        message=text(
            r"failed to process inputs: image", r"cannot make GET request", r"cannot use both json_schema and grammar"
        ),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by="Alibaba, through OpenRouter", statuses=ANY,
        message=text(r"<400> InternalError\.Algo\.InvalidParameter"),
    ),
    Rule(
        kind=FaultClass.SERVER_ERROR, said_by=_AWS, words=("ModelErrorException", "modelStreamErrorException")
    ),
)  # fmt: skip

COMPATIBLE: Final[tuple[Rule, ...]] = (
    *GOOGLE,
    *_LIMITS,
    *_KEYS,
    *_MODELS,
    *_CALLERS,
    *_MASKED,
    *ANTHROPIC,
)
"""`ANTHROPIC` ends with the sentences that all share."""
