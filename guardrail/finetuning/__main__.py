"""`guardrail train` by another way in, for `accelerate launch -m guardrail.finetuning`."""

from guardrail.finetuning.cli import run_alone, train

if __name__ == "__main__":
    run_alone(train)
