"""orcli: a language model as a Unix filter, through OpenRouter."""

__version__ = "0.1.0"
