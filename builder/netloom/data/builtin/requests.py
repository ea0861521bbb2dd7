"""Requests with their intents and entities, composed by a grammar that was written for Netloom."""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.texts import TaggedTexts
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TARGET_TYPES, TargetKind
from netloom.modalities.encoding.tokenization import words

# Templates by intent; a slot in brackets is filled with a value of that kind, which is the entity.
FRAMES = {
    "set_alarm": (
        "wake me up at {time}", "wake me up at {time} {date}", "set an alarm for {time} {date}",
        "set an alarm {date} for {time}", "alarm {date} at {time}", "please ring at {time}",
        "ring {date} at {time} please", "I have to be up by {time} {date}", "I have to be up {date} before {time}",
        "move my alarm to {time}", "move my alarm from {time} to {time} {date}", "remind {person} at {time}",
        "remind me {date} to tell {person}", "wake {person} at {time}", "is my alarm set for {time} {date}",
    ),
    "weather": (
        "will it rain in {place} {date}", "will it rain {date}", "will it be warm in {place} at {time}",
        "how warm is it in {place}", "how warm will it be {date} in {place}", "weather for {place} {date}",
        "weather {date} at {time}", "do I need a coat in {place} {date}", "do I need a coat {date} at {time}",
        "is it windy {date}", "is it windy in {place} at {time}", "forecast {date} at {time} for {place} please",
        "forecast for {place} and {place}", "how is the weather in {place}",
    ),
    "send_message": (
        "tell {person} that I am late", "tell {person} that I am in {place} {date}", "write to {person} and {person}",
        "write to {person} that I leave {place} at {time}", "text {person} that I arrive in {place} {date}",
        "text {person} {date} at {time}", "send {person} my address",
        "send {person} and {person} the forecast for {place}", "message {person} at {time}",
        "message {person} that I am free {date}", "let {person} know I come {date}",
        "let {person} know I am up by {time}", "call {person} {date}", "call {person} before {time}",
    ),
    "book_travel": (
        "book a train from {place} to {place} {date}", "book a train to {place} for {person}",
        "book a bus from {place} {date} at {time}", "two tickets to {place} for {person} and me",
        "two tickets from {place} to {place} before {time}", "fly to {place} {date}",
        "fly from {place} to {place} at {time} {date}", "I want to leave {place} {date} at {time}",
        "I want to be in {place} by {time}", "find a bus to {place} before {time}",
        "find a train for {person} {date}", "a room in {place} {date}", "a room in {place} for {person} and {person}",
        "cancel my train to {place} {date}",
    ),
    "schedule": (
        "meet {person} in {place} {date} at {time}", "meet {person} and {person} at {time}",
        "meet {person} {date} in {place}", "plan lunch with {person} {date}", "plan a visit to {place} with {person}",
        "plan a talk {date} at {time} with {person}", "am I free {date} at {time}", "am I in {place} {date}",
        "move the talk with {person} to {date}", "move lunch to {time}", "invite {person} and {person} {date}",
        "invite {person} to {place} {date}", "cancel my visit to {place} {date}",
        "cancel lunch with {person} at {time}",
    ),
}  # fmt: skip
VALUES = {
    "time": (
        "six", "half past six", "seven", "quarter to eight", "eight thirty", "nine o'clock", "noon", "twenty past two",
        "three", "four in the afternoon", "five", "ten to seven", "midnight", "ten at night", "eleven fifteen",
    ),
    "date": (
        "today", "tomorrow", "on Monday", "on Tuesday morning", "next Wednesday", "this Thursday", "on Friday night",
        "at the weekend", "next week", "in two days", "on the first of May", "on Sunday", "the day after tomorrow",
        "in March", "this evening",
    ),
    "place": (
        "Oslo", "Bergen", "Lyon", "Porto", "New Haven", "Cape Town", "Kyoto", "Lima", "Graz", "Turin", "San Marino",
        "Accra", "Riga", "Ghent", "Bad Ischl", "Quito", "Delft", "Port Louis", "Hull", "Jena", "May", "Florence",
        "Austin", "Sydney",
    ),
    "person": (
        "Anna", "Ben", "Doctor Miller", "my sister", "Chloe", "Aunt Rosa", "Emil", "Fatima", "Mister Grant", "Hana",
        "Ivo", "Jo", "the plumber", "Lena", "Mia Berg", "Noor", "our landlord", "Pia", "Professor Stein", "May",
        "Florence", "Austin", "Sydney",
    ),
}  # fmt: skip
_SLOT = re.compile(r"\{(\w+)\}")


class Requests(Dataset):
    """Requests to an assistant, with a tag for every word. Some names are a person in one request and a place in
    another.

    All requests of one template are in the same part of the split, so that the test has new templates.
    """

    name = "requests"
    example_count = 2000
    title = "Requests with entities"
    kind = "text"
    task = "tagging"
    summary = "Requests to an assistant: tag the words that are a time, a date, a place or a person"

    target_kind: ClassVar[TargetKind] = "tags"

    rows: Rows = Field(2000, description="Number of requests")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        frames = [
            (frame, intent) for intent, texts_of_intent in enumerate(FRAMES.values()) for frame in texts_of_intent
        ]
        frame_of_text: dict[str, tuple[list[str], int]] = {}
        while len(frame_of_text) < self.rows:
            frame = int(random.integers(len(frames)))
            text, tags = compose(frames[frame][0], random)
            frame_of_text.setdefault(text, (tags, frame))
        kinds = sorted(VALUES)
        names = ("O", *(f"{mark}-{kind}" for kind in kinds for mark in "BI"))
        intents = np.array([frames[frame][1] for _, frame in frame_of_text.values()])
        both = TARGET_TYPES[self.target_kind].has_class
        return TaggedTexts(
            name="text",
            target=intents if both else np.arange(self.rows),
            target_kind=self.target_kind,
            target_name="intent and entities" if both else "entities",
            classes=tuple(FRAMES) if both else names,
            tag_names=names,
            texts=list(frame_of_text),
            tags=[tags for tags, _ in frame_of_text.values()],
            groups=np.array([frame for _, frame in frame_of_text.values()]),
        )


class Commands(Requests):
    """The same requests with their intents."""

    name = "commands"
    example_count = 2000
    title = "Requests with intents and entities"
    task = "class_and_tags"
    summary = "Requests to an assistant: predict the intent, and tag times, dates, places and persons"
    target_kind = "class_and_tags"


def compose(frame: str, random: np.random.Generator) -> tuple[str, list[str]]:
    """Fill the slots of a template. Returns the text and the tag of each word."""
    text, tags = "", []
    for index, part in enumerate(_SLOT.split(frame)):
        if index % 2:
            value = str(random.choice(VALUES[part]))
            tags += [f"{'I' if number else 'B'}-{part}" for number, _ in enumerate(words(value))]
            text += value
        else:
            tags += ["O"] * len(words(part))
            text += part
    return text, tags
