"""What objectives share; and two objectives keep two modes apart, as they claim."""

import pytest
import torch

from ebt_recipes.objectives.objective import pair_with_noise, weighted_loss
from ebt_recipes.objectives.sampler import GradientDescent
from tests.recipes.objectives.conftest import JOINTS, learn, near_modes, toy, two_modes
from tests.recipes.objectives.conftest import TWO_MODES_HORIZON as HORIZON


@pytest.mark.parametrize(
    ("objective", "step_size"),
    [
        ({"kind": "equilibrium_matching"}, 0.2),
        ({"kind": "unrolled_ebt", "langevin": (0.0, 0.0), "step_jitter": 1.0, "steps": 1}, 1.0),
    ],
)
def test_two_modes_stay_apart(objective: dict[str, object], step_size: float) -> None:
    recipe, model = toy(**objective)
    learner = learn(recipe, model, 350)
    context = learner.averaged.encode(two_modes(200, 0).observations)
    start = torch.randn(200, HORIZON, JOINTS, generator=torch.Generator().manual_seed(9))
    samples = GradientDescent((step_size,)).run(learner.averaged, context, start, steps=25).x
    up, down = near_modes(samples)
    assert min(up, down) > 0.25 and up + down > 0.8  # their mean, which regression finds, is near neither


def test_a_loss_is_the_weighted_sum_of_its_parts_and_reports_them_unweighted() -> None:
    parts = {"match": torch.tensor(2.0, requires_grad=True), "forecast": torch.tensor(3.0)}
    loss = weighted_loss(parts, {"forecast": 10.0, "match": 0.5})
    assert loss.total.item() == 31.0 and loss.total.requires_grad
    assert {name: part.item() for name, part in loss.parts.items()} == {"match": 2.0, "forecast": 3.0}
    assert not loss.parts["match"].requires_grad


def test_every_observation_is_paired_with_several_noise_samples() -> None:
    _, model = toy()
    batch = two_modes(3, 0)
    pairs = pair_with_noise(model, torch.arange(3.0)[:, None, None], batch, 2, torch.Generator().manual_seed(1))
    assert pairs.repeated_context.flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(pairs.repeated_target[::2], pairs.target)
    assert torch.equal(pairs.repeated_target[1::2], pairs.target)
    assert len(pairs.noise.flatten(1).unique(dim=0)) == 6
