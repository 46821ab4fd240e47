"""Reference statistics of a policy: three scores fitted to its own demonstrations."""

import pytest
import torch

from ebt_recipes.uncertainty.reference import Reference

FEATURES, WIDTH = 3, 4


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Energies 5 * f0 with a standard deviation of .1 if f1 < 0, else 1; hidden states of unequal variance."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3000, FEATURES, generator=generator)
    sd = torch.where(features[:, 1] < 0, 0.1, 1.0)
    energy = 5 * features[:, 0] + sd * torch.randn(3000, generator=generator)
    hidden = torch.randn(3000, WIDTH, generator=generator) * torch.tensor([1.0, 10.0, 0.1, 1.0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fitted = Reference(FEATURES, WIDTH, memories=500)
        fitted.fit(features, energy, hidden)
    return fitted


def test_an_offset_that_the_observation_explains_is_taken_out(reference: Reference) -> None:
    features = torch.tensor([[-1.5, 0.0, 0.0], [0.0, 0.0, 0.0], [1.5, 0.0, 0.0]])
    expected = reference.excess(features, 5 * features[:, 0])
    assert expected.abs().max() < 1.5
    high = reference.excess(features, 5 * features[:, 0] + 10.0)
    assert high.min() > 5


def test_excess_is_larger_where_the_reference_varies_less(reference: Reference) -> None:
    features = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    steady, restless = reference.excess(features, torch.tensor([1.0, 1.0]))
    assert steady > 2.5 * restless > 0


def test_strangeness_is_measured_in_each_directions_standard_deviation(reference: Reference) -> None:
    offsets = torch.tensor([[0.0, 20.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    wide, plain, none = reference.strangeness(reference.hidden_mean + offsets)
    torch.testing.assert_close(wide, plain, rtol=0.1, atol=0.05)
    assert none < 0.01 and 0.8 < plain < 1.2  # two standard deviations in one of four directions


def test_a_demonstrated_observation_has_a_near_neighbour_and_an_unseen_one_has_not(reference: Reference) -> None:
    demonstrated = reference.memories[:5] * reference.feature_std + reference.feature_mean
    assert reference.distance(demonstrated).max() < 1e-2
    assert reference.distance(demonstrated + 20.0).min() > 5


def test_its_state_dict_restores_it(reference: Reference) -> None:
    again = Reference(FEATURES, WIDTH, memories=500)
    again.load_state_dict(reference.state_dict())
    features = torch.randn(4, FEATURES)
    torch.testing.assert_close(again.excess(features, torch.ones(4)), reference.excess(features, torch.ones(4)))
