"""Chat: a dialogue around the predictions of a run, with a response policy that people write.

A run that classifies texts understands a message (`understanding`). A policy says what to answer to each intent, what
to ask for, and what to do without a clear intent (`policy`). A dialogue applies the policy turn by turn (`dialogue`).
"""

from netloom.chat.dialogue import Dialogue, Turn
from netloom.chat.policy import Policy, PolicyError, default_policy, dumps, loads
from netloom.chat.scripts import Script, ScriptResult, read_scripts, run_script
from netloom.chat.understanding import Entity, Understanding, unavailable_reason, understand

__all__ = [
    "Dialogue",
    "Entity",
    "Policy",
    "PolicyError",
    "Script",
    "ScriptResult",
    "Turn",
    "Understanding",
    "default_policy",
    "dumps",
    "loads",
    "read_scripts",
    "run_script",
    "unavailable_reason",
    "understand",
]
