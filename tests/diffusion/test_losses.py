"""The contrast alignment of EmojiDiff against numpy, and where its gradients go."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.diffusion.losses import contrast_alignment


def test_contrast_alignment_is_the_weighted_sum() -> None:
    rng = np.random.default_rng(0)
    face_with, face_without = rng.normal(size=(2, 5, 8))
    expression, target = rng.uniform(size=(2, 5, 57))
    cosine = (face_with * face_without).sum(1) / np.sqrt((face_with**2).sum(1) * (face_without**2).sum(1))
    expected = 0.3 + 0.08 * (1 - cosine).mean() + 10 * ((expression - target) ** 2).mean()
    tensors = [torch.from_numpy(x) for x in (face_with, face_without, expression, target)]
    found = contrast_alignment(torch.tensor(0.3), *tensors)
    assert float(found.total) == pytest.approx(expected, rel=1e-5)
    assert float(found.identity) == pytest.approx((1 - cosine).mean(), rel=1e-5)
    assert float(found.expression) == pytest.approx(((expression - target) ** 2).mean(), rel=1e-5)
    without = contrast_alignment(torch.tensor(0.3), *tensors, w_id=0.0, w_exp=0.0)
    assert float(without.total) == pytest.approx(0.3)


def test_no_gradient_flows_into_what_was_made_without_control() -> None:
    face_with, face_without = torch.randn(2, 3, 8).unbind(0)
    face_with.requires_grad_(True)
    face_without.requires_grad_(True)
    expression = torch.rand(3, 57, requires_grad=True)
    contrast_alignment(
        torch.tensor(0.0), face_with, face_without, expression, torch.rand(3, 57)
    ).total.backward()
    assert face_without.grad is None
    assert face_with.grad is not None and face_with.grad.abs().sum() > 0
    assert expression.grad is not None and expression.grad.abs().sum() > 0
