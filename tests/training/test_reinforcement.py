"""Agents: what they learn from against direct sums, a known world solved, and runs that go on after a break."""

from __future__ import annotations

import json
import runpy
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from netloom.compile import source
from netloom.data import prepare, schema
from netloom.data.builtin_registry import builtin
from netloom.data.environment import FIELD, Environment, Senses, World
from netloom.document import DataChoice, Edge, Project, Training, apply, dumps, loads
from netloom.document.rl_settings import Agent
from netloom.export import export
from netloom.modalities.encoding.rows import encode_rows
from netloom.runs import evaluate, fit_here, predict
from netloom.store import RunArtifacts
from netloom.tasks import tasks
from netloom.training import TrainingError
from netloom.training.checkpoints import load, save
from netloom.training.reinforcement.dqn import DQNTrainer
from netloom.training.reinforcement.episodes import SEEDS, play, play_randomly, seeds_of
from netloom.training.reinforcement.policy import sample_actions
from netloom.training.reinforcement.ppo import PPOTrainer
from netloom.training.reinforcement.reinforce import ReinforceTrainer
from netloom.training.reinforcement.replay_buffer import ReplayBuffer
from netloom.training.reinforcement.returns import advantages, bellman_targets, returns
from netloom.training.reinforcement.trainer import ReinforcementTrainer
from netloom.training.trainer import Callback
from netloom.training.trainers.registry import build_trainer
from netloom.validation import analyse
from tests.networks import project
from tests.runs.examples import Recorder, loop
from tests.training.test_loop import same

AGENTS = tuple(name for name, task in tasks().items() if task.environment)
ENVIRONMENTS = {name: kind.model_validate({}) for name, kind in builtin().items() if issubclass(kind, Environment)}


def agent(
    objective: str, data: str = "cartpole", *, hidden: int = 16, settings: Any = None, **training: Any
) -> Project:
    """A small network with dropout that acts; for PPO with a value beside the actions."""
    spec = prepare(DataChoice(dataset=data)).schema
    width = {"field": FIELD, "kind": "vector", "shape": list(spec.inputs[0].shape)}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", width),
        "linear_1": ("Linear", {"units": hidden}),
        "tanh_1": ("Tanh", {}),
        "dropout_1": ("Dropout", {"rate": 0.1}),
        "linear_2": ("Linear", {"units": len(spec.target.classes)}),
        "output_1": ("Output", {}),
    }
    ids = list(nodes)
    edges = list(pairwise(ids))
    if objective == "ppo":
        nodes |= {"linear_3": ("Linear", {"units": 1}), "output_2": ("Output", {"name": "value"})}
        edges += [("dropout_1", "linear_3"), ("linear_3", "output_2")]
    small = {"epoch_steps": 300, "trials": 2, "warm_up": 50, "rollout": 64, "environments": 2, "passes": 2}
    made = Agent(**{**small, "target_every": 70, "buffer_size": 200, **(settings or {})})
    rest = {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "device": "cpu", **training}
    return project(
        nodes, edges, data=DataChoice(dataset=data), training=Training(objective=objective, agent=made, **rest)
    )


def small_loop(objective: str, home: Path, **rest: Any) -> ReinforcementTrainer:
    made = loop(agent(objective, **rest), home)
    assert isinstance(made, ReinforcementTrainer)
    return made


# What is learned from, against direct sums.


def test_returns_are_the_sums_of_what_came_after() -> None:
    random = np.random.default_rng(0)
    rewards, over = random.normal(size=40), random.random(40) < 0.2
    over[-1] = True
    found = returns(torch.tensor(rewards), torch.tensor(over), 0.9)
    for start in range(40):
        last = start + int(np.flatnonzero(over[start:])[0])
        direct = sum(0.9 ** (place - start) * rewards[place] for place in range(start, last + 1))
        assert float(found[start]) == pytest.approx(direct, rel=1e-10)


def test_advantages_follow_their_definition() -> None:
    """Σ over k of (γλ)ᵏ δ, up to the end of the episode, in several environments that end at different times."""
    random = np.random.default_rng(1)
    steps, width, discount, trace = 30, 3, 0.95, 0.8
    rewards, values, following = (random.normal(size=(steps, width)) for _ in range(3))
    ended = random.random((steps, width)) < 0.1
    over = ended | (random.random((steps, width)) < 0.1)
    given = [torch.tensor(part) for part in (rewards, values, following, ended, over)]
    found = advantages(given[0], given[1], given[2], given[3], given[4], discount, trace)
    for one in range(width):
        for start in range(steps):
            total, factor = 0.0, 1.0
            for place in range(start, steps):
                ahead = 0.0 if ended[place, one] else discount * following[place, one]
                total += factor * (rewards[place, one] + ahead - values[place, one])
                factor *= discount * trace
                if over[place, one]:
                    break
            assert float(found[start, one]) == pytest.approx(total, rel=1e-10)


def test_with_full_trust_the_advantage_is_the_return_less_the_value() -> None:
    rewards, over = torch.rand(20, 1), torch.zeros(20, 1, dtype=torch.bool)
    over[[7, 19]] = True
    values, nothing = torch.rand(20, 1), torch.zeros(20, 1)
    following = torch.cat([values[1:], nothing[:1]])
    found = advantages(rewards, values, following, over, over, 0.9, 1.0)
    torch.testing.assert_close(found[:, 0], returns(rewards[:, 0], over[:, 0], 0.9) - values[:, 0])


def test_bellmans_target_by_hand() -> None:
    found = bellman_targets(
        rewards=torch.tensor([1.0, 2.0, 3.0]),
        ended=torch.tensor([False, True, False]),
        following=torch.tensor([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]),
        chosen=torch.tensor([1, 0, 0]),
        discount=0.5,
    )
    assert found.tolist() == [1 + 0.5 * 20, 2, 3 + 0.5 * 50]


def _steps(count: int, width: int, actions: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    over = torch.rand(count, generator=random) < 0.2
    return {
        "seen": torch.randn(count, width, generator=random),
        "action": torch.randint(0, actions, (count,), generator=random),
        "reward": torch.randn(count, generator=random),
        "following": torch.randn(count, width, generator=random),
        "ended": over & (torch.rand(count, generator=random) < 0.5),
        "over": over,
    }


@pytest.mark.parametrize("double", [True, False])
def test_deep_q_loss_is_a_bellman_backup(double: bool, home: Path) -> None:
    made = small_loop("dqn", home, settings={"double": double, "discount": 0.8})
    assert isinstance(made, DQNTrainer)
    for weight in made.target.parameters():
        weight.data.mul_(1.5)  # another network than the one that learns
    steps = _steps(12, 4, 2)
    loss, _ = made.loss(steps)
    total = 0.0
    with torch.no_grad():
        for row in range(12):
            ahead, now = (
                made.target(steps["following"][row : row + 1])[0],
                made.model(steps["following"][row : row + 1])[0],
            )
            best = int(now.argmax()) if double else int(ahead.argmax())
            wanted = float(steps["reward"][row]) + (0.0 if steps["ended"][row] else 0.8 * float(ahead[best]))
            off = abs(float(made.model(steps["seen"][row : row + 1])[0, steps["action"][row]]) - wanted)
            total += 0.5 * off**2 if off < 1 else off - 0.5
    assert loss.item() == pytest.approx(total / 12, rel=1e-5)


def test_reinforces_gradient_is_that_of_the_objective_as_it_is_written(home: Path) -> None:
    """∇ of Σ log π(a|s) (G − mean G) / deviation of G / T + β H, from probabilities, and not from logits."""
    made = small_loop("reinforce", home, settings={"discount": 0.9, "entropy": 0.05})
    assert isinstance(made, ReinforceTrainer)
    steps = _steps(25, 4, 2)
    steps["over"][-1] = True
    loss, _ = made.loss(steps)
    ours = torch.autograd.grad(loss, list(made.model.parameters()))
    got = [0.0] * 25
    for place in range(24, -1, -1):
        got[place] = float(steps["reward"][place]) + (0.0 if steps["over"][place] else 0.9 * got[place + 1])
    mean, deviation = float(np.mean(got)), float(np.std(got))
    gained = torch.zeros(())
    for place in range(25):
        shares = functional.softmax(made.model(steps["seen"][place : place + 1])[0], dim=0)
        better = (got[place] - mean) / deviation
        gained = gained + shares[steps["action"][place]].log() * better / 25
        gained = gained - 0.05 * (shares * shares.log()).sum() / 25
    theirs = torch.autograd.grad(-gained, list(made.model.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_proximal_loss_as_it_is_written(home: Path) -> None:
    made = small_loop("ppo", home, settings={"clip": 0.1, "value_weight": 0.7, "entropy": 0.02})
    assert isinstance(made, PPOTrainer)
    steps = _steps(20, 4, 2)
    random = torch.Generator().manual_seed(5)
    steps["logs"] = torch.log(torch.rand(20, generator=random) * 0.8 + 0.1)
    steps["advantage"], steps["wanted"] = torch.randn(20, generator=random), torch.randn(20, generator=random)
    loss, told = made.loss(steps)
    better = (steps["advantage"] - steps["advantage"].mean()) / steps["advantage"].std(unbiased=False)
    total, entropies, clipped = 0.0, [], 0
    with torch.no_grad():
        logits, values = made.model(steps["seen"])
        for row in range(20):
            shares = logits[row].softmax(0)
            ratio = float(shares[steps["action"][row]] / steps["logs"][row].exp())
            within = min(max(ratio, 0.9), 1.1)
            clipped += ratio != within
            gained = min(ratio * float(better[row]), within * float(better[row]))
            entropies.append(-float((shares * shares.log()).sum()))
            total += -gained + 0.7 * 0.5 * float(values[row, 0] - steps["wanted"][row]) ** 2 - 0.02 * entropies[-1]
    assert clipped > 5
    assert loss.item() == pytest.approx(total / 20, rel=1e-4)
    assert told["entropy"].item() == pytest.approx(np.mean(entropies), rel=1e-4)


def test_actions_are_drawn_by_their_probabilities() -> None:
    scores = np.array([[0.0, 1.0, -1.0]], dtype=np.float32).repeat(30_000, 0)
    drawn = sample_actions(scores, np.random.default_rng(0).random(30_000))
    shares = np.exp(scores[0]) / np.exp(scores[0]).sum()
    assert np.bincount(drawn, minlength=3) / 30_000 == pytest.approx(shares, abs=0.01)
    assert sample_actions(scores[:2], np.array([0.0, 1.0])).tolist() == [0, 2]


# Environments.


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_world_goes_on_from_its_state(name: str) -> None:
    """Through JSON, in the middle of an episode and over the beginning of the next."""
    environment = ENVIRONMENTS[name]
    first, random = World(environment), np.random.default_rng(0)
    first.reset(3)
    for _ in range(7):
        if any(first.step(int(random.integers(len(environment.actions))))[2:]):
            first.reset()
    second = World(environment)
    second.restore(json.loads(json.dumps(first.state())))
    for _ in range(300):
        action = int(random.integers(len(environment.actions)))
        one, other = first.step(action), second.step(action)
        assert one[0].tolist() == other[0].tolist()
        assert one[1:] == other[1:]
        if one[2] or one[3]:
            assert first.reset().tolist() == second.reset().tolist()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_world_is_gymnasiums_own(name: str) -> None:
    import gymnasium

    environment = ENVIRONMENTS[name]
    theirs = gymnasium.make(environment.gymnasium, **environment.settings())
    ours, random = World(environment), np.random.default_rng(0)
    assert ours.reset(5).tolist() == np.asarray(theirs.reset(seed=5)[0]).tolist()
    assert int(getattr(theirs.action_space, "n", 0)) == len(environment.actions)
    for _ in range(600):
        action = int(random.integers(len(environment.actions)))
        seen, reward, ended, late = ours.step(action)
        found = theirs.step(action)
        assert (seen.tolist(), reward, ended, late) == (np.asarray(found[0]).tolist(), *found[1:4])
        if ended or late:
            assert ours.reset().tolist() == np.asarray(theirs.reset()[0]).tolist()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_agent_senses_what_the_encoder_of_an_exported_network_makes(name: str, home: Path) -> None:
    environment, data = ENVIRONMENTS[name], prepare(DataChoice(dataset=name), home)
    senses, world, random = Senses(data.fields[0], environment), World(environment), np.random.default_rng(0)
    seen = [world.reset(1), *(world.step(int(random.integers(2)))[0] for _ in range(5))]
    rows = encode_rows(data.preprocess, [environment.seen(one) for one in seen])
    assert np.array_equal(senses(np.stack(seen)), rows[FIELD])
    assert data.raw.groups is not None
    parts = [set(data.raw.groups[rows.numpy()].tolist()) for rows in data.split.values()]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]


def test_no_seed_is_met_twice() -> None:
    assert set(seeds_of("validation", 200)).isdisjoint(seeds_of("test", 200))
    assert min(seeds_of("validation", 1)) > 64 * 1_000_003 + SEEDS["train"]


def test_memory_keeps_the_last_steps() -> None:
    memory = ReplayBuffer(5, 1)
    for number in range(8):
        memory.add(np.array([number]), number, 0.5, np.array([number + 1]), number == 7, number == 7)
    assert len(memory) == 5
    held = memory.take(slice(None))
    assert sorted(held["action"].tolist()) == [3, 4, 5, 6, 7]
    assert held["ended"].sum() == 1
    other = ReplayBuffer(5, 1)
    other.load_state_dict(memory.state_dict())
    for one in (memory, other):
        one.add(np.array([9]), 9, 0.5, np.array([10]), False, False)
    assert same(memory.state_dict(), other.state_dict())
    with pytest.raises(ValueError, match="holds only 4"):
        ReplayBuffer(4, 1).load_state_dict(memory.state_dict())


# Learning.


def _lake_values(discount: float) -> np.ndarray:
    """The values (16, 4) of all actions on ice that is not slippery, by value iteration over Gymnasium's own table."""
    import gymnasium

    table = gymnasium.make("FrozenLake-v1", is_slippery=False).unwrapped.P
    values = np.zeros((16, 4))
    for _ in range(100):
        best = values.max(1)
        for square in range(16):
            for action in range(4):
                ((_, following, reward, ended),) = table[square][action]
                values[square, action] = reward + (0.0 if ended else discount * best[following])
    return values


def test_q_learning_finds_the_values_of_a_known_world(home: Path) -> None:
    """One weight for each square and action: after acting by chance alone, they are those of value iteration."""
    known: dict[str, Any] = {"epoch_steps": 6_000, "warm_up": 500, "learn_every": 2, "target_every": 100, "trials": 1}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"field": FIELD, "kind": "vector", "shape": [17]}),
        "linear_1": ("Linear", {"units": 4}),
        "output_1": ("Output", {}),
    }
    document = project(
        nodes,
        list(pairwise(nodes)),
        data=DataChoice(dataset="frozen_lake"),
        training=Training(
            objective="dqn",
            epochs=1,
            learning_rate=0.02,
            batch_size=64,
            device="cpu",
            agent=Agent(**known, epsilon_end=1.0, discount=0.9, buffer_size=6_000),
        ),
    )
    made = loop(document, home)
    assert isinstance(made, DQNTrainer)
    made.fit(Callback())
    wanted = _lake_values(0.9)
    squares = [number for number in range(16) if number not in (5, 7, 11, 12, 15)]  # the others end an episode
    told = made.action_scores(made.senses(np.arange(16)))
    seen = set(zip(made.memory.columns["seen"].argmax(1).tolist(), made.memory.columns["action"].tolist(), strict=True))
    # The encoder's column of a square is its place among the squares' names.
    column = made.senses(np.arange(16)).argmax(1)
    pairs = [(s, a) for s in squares for a in range(4) if (int(column[s]), a) in seen]
    assert len(pairs) >= 40
    assert max(abs(told[pair] - wanted[pair]) for pair in pairs) < 0.01
    assert made.evaluate("validation")["return"] == 1.0


def test_an_agent_learns(home: Path) -> None:
    """A few thousand steps of CartPole, after which each lasts far longer than by chance (about 20 steps): REINFORCE.
    Of the others the templates do, see `tests.training.test_figures`."""
    settings = {"epoch_steps": 2_000, "rollout": 512, "trials": 5}
    made = small_loop("reinforce", home, hidden=64, settings=settings, epochs=3, learning_rate=5e-3)
    made.fit(Callback())
    assert -made.best.value > 80
    random = play_randomly(made.environment, made.senses, seeds_of("validation", 5))
    assert np.mean([episode.total for episode in random]) < 40


def test_epsilon_falls_on_a_line_and_stays(home: Path) -> None:
    made = small_loop("dqn", home, settings={"epsilon_start": 0.8, "epsilon_end": 0.2, "epsilon_share": 0.5})
    assert isinstance(made, DQNTrainer)
    assert made.total_steps == 600
    found = []
    for made.step in (0, 150, 300, 599):
        found.append(made.epsilon())
    assert found == pytest.approx([0.8, 0.5, 0.2, 0.2])


# Going on.


@pytest.mark.parametrize("name", AGENTS)
def test_resumed_agent_equals_one_without_a_break(name: str, home: Path, tmp_path: Path) -> None:
    """Weights, memory, environments, chance and curves, through a checkpoint's files, in the middle of anything."""
    document = agent(name, average=0.99, schedule="cosine")
    whole, watch = loop(document, home), Recorder()
    whole.fit(watch)
    other = whole.checkpoint()
    for stop_at in (37, 300, 411):
        first, before = loop(document, home), Recorder(stop_at)
        assert not first.fit(before), stop_at
        save(RunArtifacts.in_directory(tmp_path / str(stop_at)), first.step, first.checkpoint())
        torch.manual_seed(99)
        found = load(RunArtifacts.in_directory(tmp_path / str(stop_at)))
        assert found is not None, stop_at
        assert found[1].memory, stop_at
        second, after = loop(document, home), Recorder()
        second.resume(found[1], first.best.weights)
        assert second.fit(after), stop_at
        assert before.points + after.points == watch.points, stop_at
        assert same(dict(second.model.state_dict()), dict(whole.model.state_dict())), stop_at
        assert (second.best.value, second.best.step) == (whole.best.value, whole.best.step), stop_at
        assert same(second.best.weights, whole.best.weights), stop_at
        one = second.checkpoint()
        assert same(one.memory, other.memory), stop_at
        assert same(one.state, other.state), stop_at


def test_the_same_seed_gives_the_same_run_and_another_seed_another(home: Path) -> None:
    curves = []
    for seed in (1, 1, 2):
        watch = Recorder()
        loop(agent("ppo", epochs=1, seed=seed), home).fit(watch)
        curves.append(watch.points)
    assert curves[0] == curves[1] != curves[2]


def test_epochs_hold_the_steps_that_are_stated_and_points_at_set_steps(home: Path) -> None:
    made, watch = small_loop("ppo", home, settings={"epoch_steps": 301, "environments": 4}), Recorder()
    made.fit(watch)
    assert made.steps_per_epoch == 304
    assert made.step == made.total_steps == 608
    steps = [step for step, _, split, name, _ in watch.points if (split, name) == ("validation", "return")]
    assert steps == [304, 608]
    assert len(watch.curve("train", "entropy")) > 5
    assert watch.curve("validation", "loss") == [-value for value in watch.curve("validation", "return")]


def test_with_no_epochs_the_weights_are_measured_as_they_are(home: Path) -> None:
    trained = fit_here(agent("dqn", epochs=0), home)
    assert evaluate(trained).metrics["return"] > 0


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(home: Path) -> None:
    made = small_loop("dqn", home, settings={"learn_every": 1})
    with torch.no_grad():
        next(iter(made.model.parameters())).fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"became nan.*Lower the learning rate"):
        made.fit(Callback())


def test_an_agent_needs_an_environment(home: Path) -> None:
    document = agent("dqn").model_copy(update={"data": DataChoice(dataset="moons")})
    with pytest.raises(TrainingError, match="choose one such as CartPole"):
        build_trainer(document, source(agent("dqn")), prepare(document.data, home))


# What comes of it.


@pytest.mark.parametrize("name", AGENTS)
def test_evaluation_measures_episodes_beside_chance(name: str, home: Path) -> None:
    trained = fit_here(agent(name, epochs=1), home)
    found = evaluate(trained)
    told = found.episodes
    assert told is not None
    assert found.rows == len(told["returns"]) == len(told["random_returns"]) == 20
    assert found.metrics["return"] == pytest.approx(np.mean(told["returns"]))
    assert found.metrics["return_deviation"] == pytest.approx(np.std(told["returns"]))
    assert json.loads(json.dumps(found.as_json()))["episodes"] == told
    worst, _, best = told["shown"]
    assert worst["return"] == min(told["returns"])
    assert best["return"] == max(told["returns"]) == len(best["actions"]) == len(best["seen"])
    # The episode can be played again from its seed, by the answers that `predict` gives.
    world = World(ENVIRONMENTS["cartpole"])
    seen = world.reset(worst["seed"])
    for action in worst["actions"]:
        (answer,) = predict(trained, [trained.data.raw.environment.seen(seen)])  # type: ignore[attr-defined]
        assert told["actions"][action] == answer["prediction"]
        seen, _, _, _ = world.step(action)
    assert set(answer) == {"prediction", "values" if name == "dqn" else "probabilities"}


def test_playing_side_by_side_is_playing_alone(home: Path) -> None:
    made = small_loop("dqn", home)
    together = play(made.action_scores, made.environment, made.senses, range(5))
    for seed, episode in enumerate(together):
        (alone,) = play(made.action_scores, made.environment, made.senses, [seed])
        assert (alone.total, alone.actions) == (episode.total, episode.actions)


@pytest.mark.parametrize("objective", AGENTS)
@pytest.mark.parametrize("data", ENVIRONMENTS)
def test_checks_say_what_the_actions_need_and_mend_it(objective: str, data: str, home: Path) -> None:
    document = agent(objective, data)
    known = schema(document.data, home)
    assert known is not None
    assert not analyse(document, known).errors
    wrong = apply(document, {"kind": "set", "node": "linear_2", "params": {"units": 9}})
    (issue,) = analyse(wrong, known).errors
    assert f"the {len(known.target.classes)} actions of the environment need" in issue.message
    assert issue.fix is not None
    assert not analyse(apply(wrong, issue.fix.edit), known).errors


def test_ppo_is_told_of_a_missing_value_which_one_click_adds(home: Path) -> None:
    document = agent("dqn")
    document = apply(document, {"kind": "project", "training": {"objective": "ppo"}})
    known = schema(document.data, home)
    (issue,) = analyse(document, known).errors
    assert "this network has 1" in issue.message
    assert issue.fix is not None
    mended = apply(document, issue.fix.edit)
    assert not analyse(mended, known).issues
    loop(mended, home).fit(Recorder(20))


def test_objectives_and_data_are_brought_together(home: Path) -> None:
    document = apply(agent("dqn"), {"kind": "project", "training": {"objective": "classification"}})
    issues = analyse(document, schema(document.data, home)).errors
    (issue,) = [issue for issue in issues if issue.code == "objective"]
    assert "the target of this data is actions to choose from" in issue.message
    assert issue.fix is not None
    assert apply(document, issue.fix.edit).training.objective == "dqn"


def test_documents_without_an_agent_keep_their_bytes() -> None:
    plain = dumps(Project.model_validate_json(dumps(agent("dqn"))).model_copy(update={"training": Training()}))
    assert '"agent"' not in plain
    document = agent("ppo")
    assert loads(dumps(document)) == document
    read = {name for task in tasks().values() for name in task.rl_settings}
    assert read == set(Agent.model_fields)
    assert all(bool(task.rl_settings) == task.environment for task in tasks().values())


def test_an_edge_more_is_no_harm(home: Path) -> None:
    """Two Inputs that read the same observation are given it both."""
    document = agent("dqn")
    spec = document.main_network.nodes["input_1"].params
    document = apply(
        document,
        {
            "kind": "batch",
            "edits": [
                {"kind": "add", "nodes": [{"id": "input_2", "type": "Input", "params": spec}]},
                {"kind": "add", "nodes": [{"id": "add_1", "type": "Add", "params": {}}]},
                {"kind": "remove", "nodes": [], "edges": ["linear_1"]},
                {"kind": "connect", "source": "input_1", "target": "add_1.a"},
                {"kind": "connect", "source": "input_2", "target": "add_1.b"},
                {"kind": "connect", "source": "add_1", "target": "linear_1"},
            ],
        },
    )
    assert Edge(source="add_1", target="linear_1") in document.main_network.edges
    assert evaluate(fit_here(document, home)).rows == 20


def test_an_exported_agent_tells_its_action_without_netloom(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = fit_here(agent("ppo", epochs=1), home)
    with zipfile.ZipFile(export(trained, "bundle", tmp_path).path) as archive:
        archive.extractall(tmp_path / "bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "netloom", None)  # so that to import it fails
        patch.syspath_prepend(tmp_path / "bundle")
        patch.chdir(tmp_path / "bundle")
        patch.setattr(sys, "argv", ["predict.py"])
        with pytest.raises(SystemExit) as end:
            runpy.run_path("predict.py", run_name="__main__")
    assert not end.value.code
    ours = [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]
    assert {"encoding.rows", "model"} <= set(ours)
    for name in ours:
        sys.modules.pop(name)
    example = json.loads((tmp_path / "bundle" / "example.json").read_text())
    (answer,) = predict(trained, [example])
    found = json.loads(capsys.readouterr().out)
    assert found["prediction"] == answer["prediction"]
    assert found["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-5)
    assert "one of 2 actions" in (tmp_path / "bundle" / "README.md").read_text()
