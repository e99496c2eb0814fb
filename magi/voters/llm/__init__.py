"""A voter that asks a language model behind an OpenAI-compatible endpoint, and takes nothing but JSON for an answer."""

from magi.voters.llm.judge import LlmJudge, llm_judge
from magi.voters.llm.settings import LlmSettings

__all__ = ["LlmJudge", "LlmSettings", "llm_judge"]
