"""What ``dragoman demo`` configures and prints: plain data and text."""

from __future__ import annotations

from typing import Any

MODELS = (
    (
        "openai",
        (
            "gpt-5.4",
            "gpt-4o-mini",
            "gpt-3.5-turbo-instruct",
            "text-embedding-3-large",
            "omni-moderation-latest",
        ),
    ),
    ("anthropic", ("claude-sonnet-4-6", "claude-haiku-4-5")),
    ("gemini", ("gemini-3-pro", "gemini-2.5-flash", "gemini-embedding-001")),
)
UNLISTED = ("gpt-3.5-turbo-instruct", "gemini-embedding-001")  # no list price to fall back on


def entries(vendor: str, key: str) -> dict[str, Any]:
    """Channels to the simulated ``vendor`` and a user with ten dollars and ``key``, as in a configuration file."""
    channels = [
        {
            "name": f"simulated {provider}",
            "provider": provider,
            "base_url": vendor,
            "keys": ["simulated"],
            "models": list(models),
        }
        for provider, models in MODELS
    ]
    return {
        "groups": [{"name": "default"}],
        "channels": channels,
        "prices": [{"model": model, "input": "1", "output": "2"} for model in UNLISTED],
        "users": [{"username": "demo", "credit": "10", "keys": [{"name": "demo", "key": key}]}],
    }


def welcome(url: str, key: str) -> str:
    """What is printed once the gateway listens on ``url``."""
    body = '{"model": "gpt-5.4", "messages": [{"role": "user", "content": "Say hello"}]}'
    models = ", ".join(model for _, names in MODELS for model in names)
    return f"""
Base URL   {url}        (OpenAI clients: {url}/v1)
Key        {key}
User       demo, $10.00 of credit; nothing leaves this machine
Models     {models}

Try it:

curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'

Ctrl-C stops it."""
