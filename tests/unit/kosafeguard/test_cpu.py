"""A CPU's faster modules do what transformers' own do, and replace nothing else."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from guardrail.classifiers.kosafeguard.cpu import LeanGate, LeanNorm, PackedLinear, quicken
from guardrail.classifiers.kosafeguard.forward import prepare
from tests.unit.kosafeguard.llamas import lively_llama

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch is built without oneDNN"
)

ROWS = (1, 5, 72, 300, 1100)
SMALL: dict[str, Any] = {
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def quickened(model: Any) -> Any:
    model = copy.deepcopy(model)
    quicken(model)
    return model


def assert_same_logits(one: Any, other: Any) -> None:
    ids = torch.arange(90)[None]
    with torch.no_grad():
        torch.testing.assert_close(one(ids).logits, other(ids).logits, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("bias", [True, False])
def test_packed_weights_multiply_as_plain_ones(bias: bool) -> None:
    """Whatever the number of rows, a packed layer gives what the plain one gives."""
    torch.manual_seed(0)
    linear = nn.Linear(64, 96, bias=bias)
    packed = PackedLinear(linear)
    with torch.no_grad():
        for rows in ROWS:
            hidden = torch.randn(1, rows, 64)
            torch.testing.assert_close(packed(hidden), linear(hidden), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lively_llama,
        lambda: Qwen2ForCausalLM(Qwen2Config(**SMALL)).eval(),  # its projections have biases
        lambda: Qwen3ForCausalLM(Qwen3Config(**SMALL, head_dim=16)).eval(),  # norms within heads
    ],
    ids=["Llama", "Qwen2", "Qwen3"],
)
def test_a_quickened_model(build: Any) -> None:
    """A model answers as before, with every module in the faster form."""
    torch.manual_seed(0)
    model = build()
    fast = quickened(model)
    layer = fast.model.layers[0]

    assert_same_logits(fast, model)
    assert isinstance(layer.mlp, LeanGate)
    assert isinstance(layer.mlp.down_proj, PackedLinear)
    assert isinstance(layer.self_attn.k_proj, PackedLinear)
    assert isinstance(layer.input_layernorm, LeanNorm)


def test_quickened_twice() -> None:
    """A model that was quickened before stays as it is."""
    once = quickened(lively_llama())
    modules = list(once.modules())
    quicken(once)

    assert list(once.modules()) == modules


def test_plain_weights_are_let_go() -> None:
    """No weight is held twice."""
    model = lively_llama()
    plain = weakref.ref(model.model.layers[0].mlp.up_proj.weight)
    quicken(model)

    assert plain() is None


def test_a_packed_weight_is_not_read() -> None:
    """A packed layer still tells its weight's shape and dtype, and gives no wrong numbers."""
    weight = PackedLinear(nn.Linear(64, 96)).weight

    assert (weight.shape, weight.dtype) == ((96, 64), torch.float32)
    with pytest.raises(NotImplementedError):
        weight.tolist()


def test_another_activation() -> None:
    """An MLP that is gated otherwise keeps its own form."""
    model = lively_llama()
    model.model.layers[0].mlp.act_fn = nn.GELU()
    fast = quickened(model)

    assert not isinstance(fast.model.layers[0].mlp, LeanGate)
    assert isinstance(fast.model.layers[1].mlp, LeanGate)
    assert_same_logits(fast, model)


class OtherRMSNorm(nn.Module):
    """A norm that looks like Llama's, and adds one to its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full([64], 0.5))
        self.variance_epsilon = 1e-6

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., 64) to the same shape."""
        length = hidden.pow(2).mean(-1, keepdim=True)
        return hidden * torch.rsqrt(length + self.variance_epsilon) * (1 + self.weight)


def test_another_norm() -> None:
    """A norm that computes otherwise is found out, and kept."""
    model = lively_llama()
    model.model.layers[0].input_layernorm = OtherRMSNorm()
    fast = quickened(model)

    assert isinstance(fast.model.layers[0].input_layernorm, OtherRMSNorm)
    assert_same_logits(fast, model)


class Adapter(nn.Module):
    """A layer of another library around the model's own."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        mapped: Tensor = self.inner(hidden) * self.inner.weight.mean()
        return mapped


def test_adapters_keep_their_layers() -> None:
    """What another library put into a model may read its weights, so they stay."""
    model = lively_llama()
    attention = model.model.layers[0].self_attn
    attention.q_proj = Adapter(attention.q_proj)
    fast = quickened(model)

    assert type(fast.model.layers[0].self_attn.q_proj.inner) is nn.Linear
    assert_same_logits(fast, model)


def test_other_dtypes() -> None:
    """A model in half precision keeps its modules."""
    model = prepare(lively_llama().bfloat16()).model

    assert type(model.model.layers[0].mlp.down_proj) is nn.Linear
