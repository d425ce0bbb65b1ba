"""How the embedded classifier's weights are made: corpus, composition, training, evaluation."""
