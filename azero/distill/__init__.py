"""DISTILL: the ways to learn from the amplified model, one file each."""

from azero.distill.cross_entropy import Losses, distill_loss

__all__ = ["Losses", "distill_loss"]
