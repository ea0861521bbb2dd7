"""Pairs of requests with the same or a different meaning, composed by a grammar that was written for Netloom."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin.requests import VALUES
from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.paired_fields import PairedFieldsDataset
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import RawDataset

# Requests with several phrasings each. Placeholders in brackets are filled with the same values in all of them.
MEANINGS = (
    ("wake me up at {time} {date}", "set an alarm for {time} {date}", "I have to be up by {time} {date}",
     "please ring at {time} {date}", "get me out of bed {date} at {time}"),
    ("will it rain in {place} {date}", "do I need an umbrella in {place} {date}", "is rain coming to {place} {date}",
     "in {place} {date}, will I get wet", "does the forecast for {place} speak of showers {date}"),
    ("how warm is it in {place} {date}", "what is the temperature in {place} {date}",
     "tell me how many degrees {place} has {date}", "is it hot or cold in {place} {date}",
     "do people in {place} sweat or freeze {date}"),
    ("book a train from {place} to {goal} {date}", "I want to go by train from {place} to {goal} {date}",
     "get me a rail ticket to {goal} that leaves {place} {date}", "I have to reach {goal} {date} by rail from {place}",
     "reserve a seat {date} on the train that runs from {place} to {goal}"),
    ("fly from {place} to {goal} {date}", "find me a flight to {goal} {date}, leaving {place}",
     "I need a plane that takes me from {place} to {goal} {date}", "by air to {goal} {date}, out of {place}",
     "which airline goes from {place} to {goal} {date}"),
    ("tell {person} that I am late for {time}", "let {person} know I will not be there on time at {time}",
     "write to {person} that I am running behind and miss {time}",
     "{person} should hear that {time} is too early for me",
     "message {person} that I am delayed and cannot make {time}"),
    ("call {person} at {time}", "phone {person} at {time}", "give {person} a ring at {time}",
     "dial the number of {person} at {time}", "at {time} I want to speak with {person} on the telephone"),
    ("meet {person} in {place} {date}", "I see {person} {date} in {place}, put it in my calendar",
     "note that {person} and I come together in {place} {date}", "make an appointment with {person} in {place} {date}",
     "plan some hours with {person} {date}, in {place}"),
    ("cancel my meeting with {person} {date}", "I cannot see {person} {date}, call it off",
     "take the appointment with {person} {date} out of my calendar", "drop what I planned with {person} {date}",
     "no time for {person} {date} after all"),
    ("a room in {place} {date}", "book a hotel in {place} {date}", "I need a bed for the night in {place} {date}",
     "find me somewhere to sleep in {place} {date}", "where can I stay overnight in {place} {date}"),
    ("am I free {date} at {time}", "do I have anything to do {date} at {time}",
     "is there something in my calendar {date} at {time}", "is {date} at {time} still open for me",
     "have I promised anyone {time} {date}"),
    ("remind me of the birthday of {person} {date}", "{person} turns a year older {date}, do not let me forget",
     "keep in mind for me that {person} has a cake coming {date}", "I must congratulate {person} {date}",
     "a present for {person} is due {date}, tell me then"),
    ("get me a taxi to {place} at {time}", "I need a cab to {place} at {time}",
     "order a car that takes me to {place} at {time}", "have a driver bring me to {place} at {time}",
     "at {time} somebody with a car should take me to {place}"),
    ("play a song of {person}", "put on some music by {person}", "I want to hear {person} sing",
     "let me listen to {person}", "something from the records of {person} please"),
)  # fmt: skip
_KINDS = {**VALUES, "goal": VALUES["place"]}


class Paraphrases(Dataset):
    """Two requests per row. Pairs with a different meaning share the intent but not all entities, or the reverse.

    No pair occurs twice, in either order; each phrasing is in all parts of the split.
    """

    name = "paraphrases"
    example_count = 4000
    title = "Paraphrases of requests"
    kind = "text"
    task = "classification"
    summary = "Pairs of requests: predict whether both have the same meaning, people, places and times"

    rows: Rows = Field(4000, description="Number of pairs")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        pairs: dict[frozenset[str], tuple[str, str, int]] = {}
        while len(pairs) < self.rows:
            same = len(pairs) % 2
            first, second = _pair(bool(same), random)
            pairs.setdefault(frozenset((first, second)), (first, second, same))
        target = np.array([same for _, _, same in pairs.values()])
        texts = {
            "first": [first for first, _, _ in pairs.values()],
            "second": [second for _, second, _ in pairs.values()],
        }
        parts = tuple(
            Texts(name=name, target=target, target_kind="class", texts=field_texts)
            for name, field_texts in texts.items()
        )
        return PairedFieldsDataset(
            name="",
            parts=parts,
            target=target,
            target_kind="class",
            target_name="ask for",
            classes=("different", "the same"),
        )


def _pair(same: bool, random: np.random.Generator) -> tuple[str, str]:
    """Return two requests with the same meaning, or with similar ones."""
    meaning = int(random.integers(len(MEANINGS)))
    first_frame, second_frame = random.choice(len(MEANINGS[meaning]), 2, replace=False)
    values = {kind: str(random.choice(choices)) for kind, choices in VALUES.items()}
    values["goal"] = str(random.choice([index for index in VALUES["place"] if index != values["place"]]))
    first, second, changed = MEANINGS[meaning][first_frame], MEANINGS[meaning][second_frame], dict(values)
    if same:
        return first.format(**values), second.format(**values)
    kinds = [kind for kind in values if f"{{{kind}}}" in first]
    if "goal" in kinds and random.random() < 0.3:  # outward and return journeys differ
        changed["place"], changed["goal"] = values["goal"], values["place"]
    elif random.random() < 0.5:
        kind = kinds[int(random.integers(len(kinds)))]
        changed[kind] = str(random.choice([value for value in _KINDS[kind] if value != values[kind]]))
    else:
        other_meanings = [index for index in range(len(MEANINGS)) if index != meaning]
        second = str(random.choice(MEANINGS[int(random.choice(other_meanings))]))
    return first.format(**values), second.format(**changed)
