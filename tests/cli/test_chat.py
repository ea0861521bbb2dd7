"""`netloom chat`: a dialogue with a trained network, policies, and dialogues as tests."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from netloom.chat import understand
from netloom.chat.outcomes import outcomes
from netloom.runs import load_run
from netloom.store import open_store
from tests.cli.conftest import Console, Trained, called, training_here

SCRIPT = """dialogue,message,intent,slots
alarm,wake me at seven tomorrow,set_alarm,time=seven
alarm,and what about friday,set_alarm,
"""


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The template of intents and entities, trained until it reads its own training texts."""
    folder = tmp_path_factory.mktemp("chat")
    home, document = folder / "home", folder / "commands.json"
    assert called("--home", home, "templates", "--write", "commands_joint", document).code == 0
    with training_here():
        answer = called("train", document, "--epochs", 3, "--seed", 0, "--device", "cpu", "--home", home, "--json")
    assert answer.code == 0, answer.err
    return Trained(home, document, answer)


def test_lines_of_standard_input_are_one_dialogue(
    console: Console, assistant: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("wake me at seven tomorrow\n\nand what about friday\n"))
    answer = console("chat", "last", "--home", assistant.home)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert len(lines) == 4
    assert lines[0] == "You asked about: set alarm."
    assert "time: seven" in lines[1]
    assert "time: seven" in lines[3]  # carried over


def test_written_policy_is_read_again(console: Console, assistant: Trained, tmp_path: Path) -> None:
    path, script = tmp_path / "policy.json", tmp_path / "script.csv"
    assert console("chat", "last", "--write-policy", path, "--home", assistant.home).code == 0
    policy = json.loads(path.read_text())
    policy["intents"]["set_alarm"]["responses"] = ["Alarm.", "At {time}."]
    path.write_text(json.dumps(policy))
    script.write_text(SCRIPT)
    answer = console("chat", "last", "--policy", path, "--test", script, "--home", assistant.home, "--json")
    assert answer.code == 0, answer.out
    (result,) = answer.value
    assert result["turns"][0][0]["response"] == "At seven."


def test_a_policy_and_a_test_are_read_as_yaml(console: Console, assistant: Trained, tmp_path: Path) -> None:
    path, script = tmp_path / "policy.yaml", tmp_path / "script.yml"
    assert console("chat", "last", "--write-policy", path, "--home", assistant.home).code == 0
    assert path.read_text().startswith("intents:\n  ")
    path.write_text(path.read_text().replace("You asked about: set alarm.", "Yes, an alarm."))
    script.write_text(
        "alarm:\n  - message: wake me at seven tomorrow\n    intent: set_alarm\n    response: Yes, an alarm.\n"
        "    slots: {time: seven}\n  - {message: and tomorrow, intent: set_alarm, event: reply}\n"
    )
    command = ("chat", "last", "--policy", path, "--test", script, "--home", assistant.home)
    answer = console(*command)
    assert (answer.code, answer.out.strip()) == (0, "1 of 1 dialogues passed."), answer.err
    script.write_text(script.read_text().replace("Yes, an", "No"))
    assert "alarm, turn 1: 'wake me at seven tomorrow': response 'Yes, an alarm.'" in console(*command).out


def test_differences_of_a_test_are_listed(console: Console, assistant: Trained, tmp_path: Path) -> None:
    script = tmp_path / "script.csv"
    script.write_text(SCRIPT.replace("set_alarm,time=seven", "play_music,time=nine"))
    answer = console("chat", "last", "--test", script, "--home", assistant.home)
    assert answer.code == 1
    first, second, summary = answer.out.splitlines()
    assert first == "alarm, turn 1: 'wake me at seven tomorrow': intent set_alarm, expected play_music"
    assert "slot time is 'seven', expected 'nine'" in second
    assert summary == "0 of 1 dialogues passed."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,intent\nhello,greet\n", "no column 'message'"),
        ("message,intent,mood\nhello,greet,good\n", "unknown column 'mood'"),
        ("message,intent\n,greet\n", "Row 1 of"),
        ('[{"message": ["a"], "intent": "b"}]', "message in row 1"),
        ("[1]", "list of turns"),
        ("message,intent,slots\nhello,greet,date\n", "date=tomorrow"),
        ('{"a": [1]}', "list of turns"),
    ],
)
def test_invalid_tests_are_refused(
    console: Console, assistant: Trained, tmp_path: Path, content: str, message: str
) -> None:
    script = tmp_path / "script.csv"
    script.write_text(content)
    answer = console("chat", "last", "--test", script, "--home", assistant.home)
    assert answer.code == 2
    assert message in answer.err


def test_runs_without_texts_are_refused(console: Console, trained: Trained) -> None:
    answer = console("chat", "last", "--home", trained.home)
    assert answer.code == 1
    assert "reads a text" in answer.err


def test_thresholds_are_saved_with_the_policy_of_the_run(
    console: Console, assistant: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ("--thresholds", "--max-error", 0.1, "--out-of-scope", "weather", "--home", assistant.home)
    answer = console("chat", "last", *options)
    assert answer.code == 0, answer.err
    assert "chosen on the validation rows" in answer.out
    assert [line.split()[:2] for line in answer.out.splitlines()[2:]] == [
        ["proposed", "validation"],
        ["proposed", "test"],
        ["now", "validation"],
        ["now", "test"],
    ]
    answer = console("chat", "last", *options, "--save-policy", "--write-policy", tmp_path / "p.json", "--json")
    proposal = answer.value["proposal"]
    assert proposal["validation"]["error"] <= 0.1
    try:
        policy = json.loads((tmp_path / "p.json").read_text())
        assert policy["fallback"]["confidence"] == proposal["confidence"]
        assert policy["fallback"]["out_of_scope"] == ["weather"]
        monkeypatch.setattr("sys.stdin", io.StringIO("is it warm in Rome\n"))
        turn = console("chat", "last", "--home", assistant.home, "--json").value
        assert turn["event"] in ("out_of_scope", "rephrase"), "the saved policy is used"
    finally:
        for path in assistant.home.glob("runs/*/chat_policy.json"):
            path.unlink()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-error", 0.1), "--max-error has no effect without --thresholds"),
        (("--min-recall", 0.6), "--min-recall has no effect without --thresholds"),
        (("--thresholds", "--min-recall", 0.6), "No validation row is out of scope"),
        (("--thresholds", "--max-error", 1.5), "from 0 to below 1"),
        (("--thresholds", "--out-of-scope", "coffee"), "does not have the intent 'coffee'"),
        (("--thresholds", "--test", "x.csv"), "in a separate command first"),
    ],
)
def test_options_without_a_meaning_are_refused(
    console: Console, assistant: Trained, options: tuple[object, ...], message: str
) -> None:
    answer = console("chat", "last", *options, "--home", assistant.home)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.usefixtures("_training_here")
def test_other_outputs_are_read_beside_the_intent(console: Console, tmp_path: Path) -> None:
    """Two targets of a text: the first class is the intent, the other one a label such as the sentiment."""
    home, table, document = tmp_path / "home", tmp_path / "two.csv", tmp_path / "two.json"
    words = [("book a table", "book"), ("cancel my order", "cancel"), ("play music", "play")]
    moods = [("please", "good"), ("at once", "bad")]
    rows = [f"{text} {tone} {n},{intent},{mood}" for n in range(20) for text, intent in words for tone, mood in moods]
    table.write_text("\n".join(["text,intent,mood", *rows]))
    targets = ("--column", "text=text", "--target", "intent", "--target", "mood")
    for call in (
        ("data", "add", table, "--name", "two"),
        ("data", "set", "two", *targets),
        ("fit", "intents_lstm", "--data", "two", "--to", document),
        ("train", document, "--epochs", 2, "--seed", 0, "--device", "cpu"),
    ):
        answer = console(*call, "--home", home)
        assert answer.code == 0, answer.err
    store = open_store(home)
    trained = load_run(store, store.runs(limit=1)[0].id)
    [understanding, foreign] = understand(trained, ["book a table please", "مرحبا"])
    assert (understanding.is_unknown, foreign.is_unknown) == (False, True)
    assert {name for name, _ in understanding.ranking} == {"book", "cancel", "play"}
    [label] = understanding.labels
    assert (label.name, label.value in ("good", "bad")) == ("mood", True)
    assert label.confidence is not None
    assert label.confidence >= 0.5
    measured = outcomes(trained, "test", ()).measured(0, 0)
    assert measured.automation == 1
    assert measured.in_scope_accuracy == pytest.approx(1 - (measured.error or 0))
