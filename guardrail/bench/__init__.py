"""Measures KoSafeGuard's engine against the model card's recipe, on the same weights, in one run.

python -m guardrail.bench                                  # random 100M Llama on the CPU
python -m guardrail.bench --size 8b --device cuda --dtype bfloat16
python -m guardrail.bench --model heegyu/KoSafeGuard-8b-0503 --quantization 4bit
"""

from guardrail.bench.command import main

__all__ = ["main"]
