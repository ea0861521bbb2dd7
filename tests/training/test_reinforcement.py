"""Reinforcement learning: returns and losses against direct sums, a solved environment, and resumed runs."""

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
from netloom.training.episodes import SEEDS, play, play_randomly, seeds_of
from netloom.training.reinforcement.dqn import DQNTrainer
from netloom.training.reinforcement.policy import sample_actions
from netloom.training.reinforcement.ppo import PPOTrainer
from netloom.training.reinforcement.reinforce import ReinforceTrainer
from netloom.training.reinforcement.replay_buffer import ReplayBuffer
from netloom.training.reinforcement.returns import advantages, bellman_targets, returns
from netloom.training.reinforcement.trainer import ReinforcementTrainer
from netloom.training.trainer import Callback
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights.checkpoints import load, save
from netloom.validation import analyze
from tests.export.bundles import modules_of
from tests.networks import project
from tests.runs.examples import Recorder, loop
from tests.training.test_loop import same

AGENTS = tuple(name for name, task in tasks().items() if task.environment)
ENVIRONMENTS = {name: kind.model_validate({}) for name, kind in builtin().items() if issubclass(kind, Environment)}


def agent(
    objective: str, data: str = "cartpole", *, hidden: int = 16, settings: Any = None, **training: Any
) -> Project:
    """A small agent with dropout; for PPO, with a value output."""
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
    small = {
        "steps_per_epoch": 300,
        "evaluation_episodes": 2,
        "learning_starts": 50,
        "rollout_steps": 64,
        "environments": 2,
        "update_epochs": 2,
    }
    agent_settings = Agent(**{**small, "target_update_interval": 70, "buffer_size": 200, **(settings or {})})
    rest = {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "device": "cpu", **training}
    return project(
        nodes,
        edges,
        data=DataChoice(dataset=data),
        training=Training(objective=objective, agent=agent_settings, **rest),
    )


def small_trainer(objective: str, home: Path, **rest: Any) -> ReinforcementTrainer:
    trainer = loop(agent(objective, **rest), home)
    assert isinstance(trainer, ReinforcementTrainer)
    return trainer


# Returns, advantages and losses, against direct sums.


def test_returns_are_discounted_reward_sums() -> None:
    random = np.random.default_rng(0)
    rewards, done = random.normal(size=40), random.random(40) < 0.2
    done[-1] = True
    computed = returns(torch.tensor(rewards), torch.tensor(done), 0.9)
    for start in range(40):
        last = start + int(np.flatnonzero(done[start:])[0])
        direct = sum(0.9 ** (index - start) * rewards[index] for index in range(start, last + 1))
        assert float(computed[start]) == pytest.approx(direct, rel=1e-10)


def test_advantages_match_gae_definition() -> None:
    """Σₖ (γλ)ᵏ δ up to the end of the episode, in several environments that end at different times."""
    random = np.random.default_rng(1)
    steps, width, discount, trace = 30, 3, 0.95, 0.8
    rewards, values, following = (random.normal(size=(steps, width)) for _ in range(3))
    ended = random.random((steps, width)) < 0.1
    over = ended | (random.random((steps, width)) < 0.1)
    tensors = [torch.tensor(part) for part in (rewards, values, following, ended, over)]
    computed = advantages(tensors[0], tensors[1], tensors[2], tensors[3], tensors[4], discount, trace)
    for environment in range(width):
        for start in range(steps):
            total, factor = 0.0, 1.0
            for index in range(start, steps):
                bootstrapped = 0.0 if ended[index, environment] else discount * following[index, environment]
                total += factor * (rewards[index, environment] + bootstrapped - values[index, environment])
                factor *= discount * trace
                if over[index, environment]:
                    break
            assert float(computed[start, environment]) == pytest.approx(total, rel=1e-10)


def test_advantage_with_lambda_one_is_return_minus_value() -> None:
    rewards, over = torch.rand(20, 1), torch.zeros(20, 1, dtype=torch.bool)
    over[[7, 19]] = True
    values, zeros = torch.rand(20, 1), torch.zeros(20, 1)
    following = torch.cat([values[1:], zeros[:1]])
    computed = advantages(rewards, values, following, over, over, 0.9, 1.0)
    torch.testing.assert_close(computed[:, 0], returns(rewards[:, 0], over[:, 0], 0.9) - values[:, 0])


def test_bellman_targets_match_manual_computation() -> None:
    targets = bellman_targets(
        rewards=torch.tensor([1.0, 2.0, 3.0]),
        ended=torch.tensor([False, True, False]),
        following=torch.tensor([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]),
        chosen=torch.tensor([1, 0, 0]),
        discount=0.5,
    )
    assert targets.tolist() == [1 + 0.5 * 20, 2, 3 + 0.5 * 50]


def _random_steps(count: int, width: int, actions: int) -> dict[str, torch.Tensor]:
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
def test_dqn_loss_is_the_huber_bellman_error(double: bool, home: Path) -> None:
    trainer = small_trainer("dqn", home, settings={"double": double, "discount": 0.8})
    assert isinstance(trainer, DQNTrainer)
    for weight in trainer.target.parameters():
        weight.data.mul_(1.5)  # the target network differs from the online network
    steps = _random_steps(12, 4, 2)
    loss, _ = trainer.loss(steps)
    total = 0.0
    with torch.no_grad():
        for row in range(12):
            ahead, now = (
                trainer.target(steps["following"][row : row + 1])[0],
                trainer.model(steps["following"][row : row + 1])[0],
            )
            best = int(now.argmax()) if double else int(ahead.argmax())
            target = float(steps["reward"][row]) + (0.0 if steps["ended"][row] else 0.8 * float(ahead[best]))
            error = abs(float(trainer.model(steps["seen"][row : row + 1])[0, steps["action"][row]]) - target)
            total += 0.5 * error**2 if error < 1 else error - 0.5
    assert loss.item() == pytest.approx(total / 12, rel=1e-5)


def test_reinforce_gradient_matches_formula(home: Path) -> None:
    """∇ of Σ log π(a|s) (G − mean G) / std G / T + β H, computed from probabilities instead of logits."""
    trainer = small_trainer("reinforce", home, settings={"discount": 0.9, "entropy_weight": 0.05})
    assert isinstance(trainer, ReinforceTrainer)
    steps = _random_steps(25, 4, 2)
    steps["over"][-1] = True
    loss, _ = trainer.loss(steps)
    gradients = torch.autograd.grad(loss, list(trainer.model.parameters()))
    returned = [0.0] * 25
    for index in range(24, -1, -1):
        returned[index] = float(steps["reward"][index]) + (0.0 if steps["over"][index] else 0.9 * returned[index + 1])
    mean, deviation = float(np.mean(returned)), float(np.std(returned))
    objective = torch.zeros(())
    for index in range(25):
        probabilities = functional.softmax(trainer.model(steps["seen"][index : index + 1])[0], dim=0)
        advantage = (returned[index] - mean) / deviation
        objective = objective + probabilities[steps["action"][index]].log() * advantage / 25
        objective = objective - 0.05 * (probabilities * probabilities.log()).sum() / 25
    expected_gradients = torch.autograd.grad(-objective, list(trainer.model.parameters()))
    for actual, expected in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_ppo_loss_matches_formula(home: Path) -> None:
    trainer = small_trainer("ppo", home, settings={"clip_range": 0.1, "value_weight": 0.7, "entropy_weight": 0.02})
    assert isinstance(trainer, PPOTrainer)
    steps = _random_steps(20, 4, 2)
    random = torch.Generator().manual_seed(5)
    steps["logs"] = torch.log(torch.rand(20, generator=random) * 0.8 + 0.1)
    steps["advantage"], steps["wanted"] = torch.randn(20, generator=random), torch.randn(20, generator=random)
    loss, logged = trainer.loss(steps)
    advantages_normalized = (steps["advantage"] - steps["advantage"].mean()) / steps["advantage"].std(unbiased=False)
    total, entropies, clipped = 0.0, [], 0
    with torch.no_grad():
        logits, values = trainer.model(steps["seen"])
        for row in range(20):
            probabilities = logits[row].softmax(0)
            ratio = float(probabilities[steps["action"][row]] / steps["logs"][row].exp())
            clipped_ratio = min(max(ratio, 0.9), 1.1)
            clipped += ratio != clipped_ratio
            surrogate = min(
                ratio * float(advantages_normalized[row]), clipped_ratio * float(advantages_normalized[row])
            )
            entropies.append(-float((probabilities * probabilities.log()).sum()))
            total += -surrogate + 0.7 * 0.5 * float(values[row, 0] - steps["wanted"][row]) ** 2 - 0.02 * entropies[-1]
    assert clipped > 5
    assert loss.item() == pytest.approx(total / 20, rel=1e-4)
    assert logged["entropy"].item() == pytest.approx(np.mean(entropies), rel=1e-4)


def test_actions_are_sampled_by_probability() -> None:
    scores = np.array([[0.0, 1.0, -1.0]], dtype=np.float32).repeat(30_000, 0)
    sampled = sample_actions(scores, np.random.default_rng(0).random(30_000))
    probabilities = np.exp(scores[0]) / np.exp(scores[0]).sum()
    assert np.bincount(sampled, minlength=3) / 30_000 == pytest.approx(probabilities, abs=0.01)
    assert sample_actions(scores[:2], np.array([0.0, 1.0])).tolist() == [0, 2]


# Environments.


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_resumes_from_serialized_state(name: str) -> None:
    """Restored from JSON in the middle of an episode, and across the start of the next one."""
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
        step_result, expected = first.step(action), second.step(action)
        assert step_result[0].tolist() == expected[0].tolist()
        assert step_result[1:] == expected[1:]
        if step_result[2] or step_result[3]:
            assert first.reset().tolist() == second.reset().tolist()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_matches_gymnasium(name: str) -> None:
    import gymnasium

    environment = ENVIRONMENTS[name]
    gymnasium_env = gymnasium.make(environment.gymnasium, **environment.settings())
    world, random = World(environment), np.random.default_rng(0)
    assert world.reset(5).tolist() == np.asarray(gymnasium_env.reset(seed=5)[0]).tolist()
    assert int(getattr(gymnasium_env.action_space, "n", 0)) == len(environment.actions)
    for _ in range(600):
        action = int(random.integers(len(environment.actions)))
        observation, reward, ended, truncated = world.step(action)
        expected = gymnasium_env.step(action)
        assert (observation.tolist(), reward, ended, truncated) == (np.asarray(expected[0]).tolist(), *expected[1:4])
        if ended or truncated:
            assert world.reset().tolist() == np.asarray(gymnasium_env.reset()[0]).tolist()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_agent_observations_match_exported_encoder(name: str, home: Path) -> None:
    environment, data = ENVIRONMENTS[name], prepare(DataChoice(dataset=name), home)
    senses, world, random = Senses(data.fields[0], environment), World(environment), np.random.default_rng(0)
    observations = [world.reset(1), *(world.step(int(random.integers(2)))[0] for _ in range(5))]
    rows = encode_rows(
        data.preprocess.to_json(), [environment.observed_row(observation) for observation in observations]
    )
    assert np.array_equal(senses(np.stack(observations)), rows[FIELD])
    assert data.raw.groups is not None
    parts = [set(data.raw.groups[rows.numpy()].tolist()) for rows in data.split.values()]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]


def test_evaluation_seeds_are_disjoint() -> None:
    assert set(seeds_of("validation", 200)).isdisjoint(seeds_of("test", 200))
    assert min(seeds_of("validation", 1)) > 64 * 1_000_003 + SEEDS["train"]


def test_replay_buffer_keeps_the_last_steps() -> None:
    memory = ReplayBuffer(5, 1)
    for number in range(8):
        memory.add(np.array([number]), number, 0.5, np.array([number + 1]), number == 7, number == 7)
    assert len(memory) == 5
    contents = memory.take(slice(None))
    assert sorted(contents["action"].tolist()) == [3, 4, 5, 6, 7]
    assert contents["ended"].sum() == 1
    restored = ReplayBuffer(5, 1)
    restored.load_state_dict(memory.state_dict())
    for buffer in (memory, restored):
        buffer.add(np.array([9]), 9, 0.5, np.array([10]), False, False)
    assert same(memory.state_dict(), restored.state_dict())
    with pytest.raises(ValueError, match="holds only 4"):
        ReplayBuffer(4, 1).load_state_dict(memory.state_dict())


# Learning.


def _frozen_lake_q_values(discount: float) -> np.ndarray:
    """The Q-values (16, 4) of the lake without slipping, by value iteration over Gymnasium's transition table."""
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


@pytest.mark.long
def test_dqn_learns_frozen_lake_q_values(home: Path) -> None:
    """One weight for each square and action: after random exploration, they equal the result of value iteration."""
    settings: dict[str, Any] = {
        "steps_per_epoch": 6_000,
        "learning_starts": 500,
        "train_frequency": 2,
        "target_update_interval": 100,
        "evaluation_episodes": 1,
    }
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
            agent=Agent(**settings, epsilon_end=1.0, discount=0.9, buffer_size=6_000),
        ),
    )
    trainer = loop(document, home)
    assert isinstance(trainer, DQNTrainer)
    trainer.fit(Callback())
    expected = _frozen_lake_q_values(0.9)
    squares = [number for number in range(16) if number not in (5, 7, 11, 12, 15)]  # the other squares end an episode
    q_values = trainer.action_scores(trainer.senses(np.arange(16)))
    visited = set(
        zip(trainer.memory.columns["seen"].argmax(1).tolist(), trainer.memory.columns["action"].tolist(), strict=True)
    )
    # The encoder's column of a square is its index among the names of the squares.
    column = trainer.senses(np.arange(16)).argmax(1)
    pairs = [(s, a) for s in squares for a in range(4) if (int(column[s]), a) in visited]
    assert len(pairs) >= 40
    assert max(abs(q_values[pair] - expected[pair]) for pair in pairs) < 0.01
    assert trainer.evaluate("validation")["return"] == 1.0


def test_reinforce_learns_cartpole(home: Path) -> None:
    """After a few thousand steps of CartPole, episodes last far longer than random ones (about 20 steps). For the other
    algorithms, see `tests.training.test_figures`."""
    settings = {"steps_per_epoch": 2_000, "rollout_steps": 512, "evaluation_episodes": 5}
    trainer = small_trainer("reinforce", home, hidden=64, settings=settings, epochs=3, learning_rate=5e-3)
    trainer.fit(Callback())
    assert -trainer.best.value > 80
    random = play_randomly(trainer.environment, trainer.senses, seeds_of("validation", 5))
    assert np.mean([episode.total for episode in random]) < 40


def test_epsilon_decays_linearly_then_stays(home: Path) -> None:
    trainer = small_trainer(
        "dqn", home, settings={"epsilon_start": 0.8, "epsilon_end": 0.2, "exploration_fraction": 0.5}
    )
    assert isinstance(trainer, DQNTrainer)
    assert trainer.total_steps == 600
    epsilons = []
    for trainer.step in (0, 150, 300, 599):
        epsilons.append(trainer.epsilon())
    assert epsilons == pytest.approx([0.8, 0.5, 0.2, 0.2])


# Resuming.


@pytest.mark.parametrize("name", AGENTS)
def test_resumed_agent_equals_uninterrupted_agent(name: str, home: Path, tmp_path: Path) -> None:
    """Weights, replay buffer, environments, random numbers and curves, from checkpoint files at arbitrary steps."""
    document = agent(name, ema_decay=0.99, schedule="cosine")
    whole, recorder = loop(document, home), Recorder()
    whole.fit(recorder)
    whole_checkpoint = whole.checkpoint()
    for stop_at in (37, 300, 411):
        first, before = loop(document, home), Recorder(stop_at)
        assert not first.fit(before), stop_at
        save(RunArtifacts.in_directory(tmp_path / str(stop_at)), first.step, first.checkpoint())
        torch.manual_seed(99)
        loaded = load(RunArtifacts.in_directory(tmp_path / str(stop_at)))
        assert loaded is not None, stop_at
        assert loaded[1].memory, stop_at
        second, after = loop(document, home), Recorder()
        second.resume(loaded[1], first.best.weights)
        assert second.fit(after), stop_at
        assert before.points + after.points == recorder.points, stop_at
        assert same(dict(second.model.state_dict()), dict(whole.model.state_dict())), stop_at
        assert (second.best.value, second.best.step) == (whole.best.value, whole.best.step), stop_at
        assert same(second.best.weights, whole.best.weights), stop_at
        checkpoint = second.checkpoint()
        assert same(checkpoint.memory, whole_checkpoint.memory), stop_at
        assert same(checkpoint.state, whole_checkpoint.state), stop_at


def test_runs_are_reproducible_by_seed(home: Path) -> None:
    curves = []
    for seed in (1, 1, 2):
        recorder = Recorder()
        loop(agent("ppo", epochs=1, seed=seed), home).fit(recorder)
        curves.append(recorder.points)
    assert curves[0] == curves[1] != curves[2]


def test_epoch_length_and_logging_steps(home: Path) -> None:
    trainer, recorder = small_trainer("ppo", home, settings={"steps_per_epoch": 301, "environments": 4}), Recorder()
    trainer.fit(recorder)
    assert trainer.steps_per_epoch == 304
    assert trainer.step == trainer.total_steps == 608
    steps = [step for step, _, split, name, _ in recorder.points if (split, name) == ("validation", "return")]
    assert steps == [304, 608]
    assert len(recorder.curve("train", "entropy")) > 5
    assert recorder.curve("validation", "loss") == [-value for value in recorder.curve("validation", "return")]


def test_zero_epochs_evaluate_initial_weights(home: Path) -> None:
    trained = fit_here(agent("dqn", epochs=0), home)
    assert evaluate(trained).metrics["return"] > 0


def test_nan_loss_raises_training_error(home: Path) -> None:
    trainer = small_trainer("dqn", home, settings={"train_frequency": 1})
    with torch.no_grad():
        next(iter(trainer.model.parameters())).fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"became nan.*Lower the learning rate"):
        trainer.fit(Callback())


def test_agent_requires_an_environment(home: Path) -> None:
    document = agent("dqn").model_copy(update={"data": DataChoice(dataset="moons")})
    with pytest.raises(TrainingError, match="choose one such as CartPole"):
        build_trainer(document, source(agent("dqn")), prepare(document.data, home))


# Evaluation, validation and export.


@pytest.mark.parametrize("name", AGENTS)
def test_evaluation_reports_episodes_and_random_baseline(name: str, home: Path) -> None:
    trained = fit_here(agent(name, epochs=1), home)
    evaluation = evaluate(trained)
    episodes = evaluation.episodes
    assert episodes is not None
    assert evaluation.rows == len(episodes["returns"]) == len(episodes["random_returns"]) == 20
    assert evaluation.metrics["return"] == pytest.approx(np.mean(episodes["returns"]))
    assert evaluation.metrics["return_deviation"] == pytest.approx(np.std(episodes["returns"]))
    assert json.loads(json.dumps(evaluation.as_json()))["episodes"] == episodes
    worst, _, best = episodes["shown"]
    assert worst["return"] == min(episodes["returns"])
    assert best["return"] == max(episodes["returns"]) == len(best["actions"]) == len(best["seen"])
    # The episode can be replayed from its seed with the predictions of `predict`.
    world = World(ENVIRONMENTS["cartpole"])
    observation = world.reset(worst["seed"])
    for action in worst["actions"]:
        (answer,) = predict(trained, [trained.data.raw.environment.observed_row(observation)])  # type: ignore[attr-defined]
        assert episodes["actions"][action] == answer["prediction"]
        observation, _, _, _ = world.step(action)
    assert set(answer) == {"prediction", "values" if name == "dqn" else "probabilities"}


def test_parallel_episodes_equal_single_episodes(home: Path) -> None:
    trainer = small_trainer("dqn", home)
    episodes = play(trainer.action_scores, trainer.environment, trainer.senses, range(5))
    for seed, episode in enumerate(episodes):
        (alone,) = play(trainer.action_scores, trainer.environment, trainer.senses, [seed])
        assert (alone.total, alone.actions) == (episode.total, episode.actions)


@pytest.mark.parametrize("objective", AGENTS)
@pytest.mark.parametrize("data", ENVIRONMENTS)
def test_wrong_action_count_is_reported_and_fixed(objective: str, data: str, home: Path) -> None:
    document = agent(objective, data)
    data_schema = schema(document.data, home)
    assert data_schema is not None
    assert not analyze(document, data_schema).errors
    wrong = apply(document, {"kind": "set", "node": "linear_2", "params": {"units": 9}})
    (issue,) = analyze(wrong, data_schema).errors
    assert f"the {len(data_schema.target.classes)} actions of the environment need" in issue.message
    assert issue.fix is not None
    assert not analyze(apply(wrong, issue.fix.edit), data_schema).errors


def test_missing_ppo_value_output_is_reported_and_fixed(home: Path) -> None:
    document = agent("dqn")
    document = apply(document, {"kind": "project", "training": {"objective": "ppo"}})
    data_schema = schema(document.data, home)
    (issue,) = analyze(document, data_schema).errors
    assert "this network has 1" in issue.message
    assert issue.fix is not None
    fixed = apply(document, issue.fix.edit)
    assert not analyze(fixed, data_schema).issues
    loop(fixed, home).fit(Recorder(20))


def test_wrong_task_for_environment_is_reported_and_fixed(home: Path) -> None:
    document = apply(agent("dqn"), {"kind": "project", "training": {"objective": "classification"}})
    issues = analyze(document, schema(document.data, home)).errors
    (issue,) = [issue for issue in issues if issue.code == "objective"]
    assert "the target of this data is actions to choose from" in issue.message
    assert issue.fix is not None
    assert apply(document, issue.fix.edit).training.objective == "dqn"


def test_default_agent_settings_are_not_serialized() -> None:
    without_agent = dumps(Project.model_validate_json(dumps(agent("dqn"))).model_copy(update={"training": Training()}))
    assert '"agent"' not in without_agent
    document = agent("ppo")
    assert loads(dumps(document)) == document
    used_settings = {name for task in tasks().values() for name in task.rl_settings}
    assert used_settings == set(Agent.model_fields)
    assert all(bool(task.rl_settings) == task.environment for task in tasks().values())


def test_two_inputs_may_read_the_same_observation(home: Path) -> None:
    """Both Inputs receive the observation."""
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


def test_exported_agent_predicts_without_netloom(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = fit_here(agent("ppo", epochs=1), home)
    with zipfile.ZipFile(export(trained, "bundle", tmp_path).path) as archive:
        archive.extractall(tmp_path / "bundle")
    with pytest.MonkeyPatch.context() as patch, modules_of(tmp_path / "bundle"):
        patch.setitem(sys.modules, "netloom", None)  # so that importing it fails
        patch.chdir(tmp_path / "bundle")
        patch.setattr(sys, "argv", ["predict.py"])
        with pytest.raises(SystemExit) as exit_error:
            runpy.run_path("predict.py", run_name="__main__")
        bundle_modules = [
            name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))
        ]
    assert not exit_error.value.code
    assert {"encoding.rows", "model"} <= set(bundle_modules)
    example = json.loads((tmp_path / "bundle" / "example.json").read_text())
    (answer,) = predict(trained, [example])
    prediction = json.loads(capsys.readouterr().out)
    assert prediction["prediction"] == answer["prediction"]
    assert prediction["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-5)
    assert "one of 2 actions" in (tmp_path / "bundle" / "README.md").read_text()
