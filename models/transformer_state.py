"""The JSON form of a fitted transformer, as encoders and reference sets keep it in a bundle."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from features.transforms import BlockTransformer, FittedState, restore_transformer
from models.evidence import Documented


@dataclass(frozen=True)
class TransformerState(Documented):
    """A fitted transformer of `features.transforms`."""

    step: str
    """Name of its class."""
    params: dict[str, JsonValue]
    """Parameters of its constructor."""
    n_features_in: int
    """Number of columns that it reads."""
    learned: dict[str, JsonValue]
    """Fitted attributes."""

    @staticmethod
    def from_transformer(transformer: BlockTransformer) -> TransformerState:
        """Return the state of a fitted transformer."""
        return TransformerState(**transformer.state())

    def restore(self) -> BlockTransformer:
        """Return the fitted transformer."""
        return restore_transformer(
            FittedState(step=self.step, params=self.params, n_features_in=self.n_features_in, learned=self.learned)
        )
