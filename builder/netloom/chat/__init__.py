"""Chat: a dialogue around the predictions of a run, with a response policy that people write.

A run that classifies texts or tags their words understands a message (`understanding`). A policy says what to answer
to each intent, what to ask for, and what to do without a clear intent (`policy`). A dialogue applies the policy turn by
turn (`dialogue`). Runs that generate texts write responses (`writing`), or chat on their own.
"""

from netloom.chat.dialogue import Dialogue, State, Turn
from netloom.chat.outcomes import Measured
from netloom.chat.policy import Policy, PolicyError, default_policy, dumps, dumps_yaml, loads, with_out_of_scope
from netloom.chat.policy_problems import Problem
from netloom.chat.run_policy import checked_policy, policy_problems, run_policy, save_policy, starting_policy
from netloom.chat.scripts import Script, ScriptResult, dumps_scripts, read_scripts, run_script, script_of
from netloom.chat.thresholds import MAX_ERROR, Proposal, ThresholdLimits, ThresholdReport, propose_thresholds
from netloom.chat.understanding import (
    Entity,
    Understanding,
    entity_kinds,
    has_intents,
    intent_target,
    is_sentiment,
    unavailable_reason,
    understand,
)
from netloom.chat.writing import Writers, dialogue_row, response_text, sampling_of, writer_id, writes_text

__all__ = [
    "MAX_ERROR",
    "Dialogue",
    "Entity",
    "Measured",
    "Policy",
    "PolicyError",
    "Problem",
    "Proposal",
    "Script",
    "ScriptResult",
    "State",
    "ThresholdLimits",
    "ThresholdReport",
    "Turn",
    "Understanding",
    "Writers",
    "checked_policy",
    "default_policy",
    "dialogue_row",
    "dumps",
    "dumps_scripts",
    "dumps_yaml",
    "entity_kinds",
    "has_intents",
    "intent_target",
    "is_sentiment",
    "loads",
    "policy_problems",
    "propose_thresholds",
    "read_scripts",
    "response_text",
    "run_policy",
    "run_script",
    "sampling_of",
    "save_policy",
    "script_of",
    "starting_policy",
    "unavailable_reason",
    "understand",
    "with_out_of_scope",
    "writer_id",
    "writes_text",
]
