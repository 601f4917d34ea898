"""Dragoman: a self-hosted gateway between those who call AI models and those who serve them.

The package is one staircase; each room imports only rooms to its right (checked by import-linter):

    cli > app > simulator | console > tasks > relay > ledger > store | upstream > observe > routing > providers
        > dialects > core            (``config`` is imported by ``app`` and ``cli`` only)

Read ``relay/flow.py`` first: it is the life of one request.
"""

__version__ = "0.1.0"
