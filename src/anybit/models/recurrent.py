"""The recurrent quantisation block: one codebook, used level after level on what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from anybit.codes import MOST_LEVELS, Codebooks
from anybit.errors import OptionError
from anybit.models.quantizer_block import QuantizerBlock

__all__ = ["QuantizerConfig", "RecurrentOutput", "RecurrentQuantization"]


@dataclass(frozen=True)
class QuantizerConfig:
    """Settings of the recurrent quantiser.

    Parameters
    ----------
    n_levels : int
        Levels M.
    n_codewords : int
        Codewords K, a power of two up to 256.
    assignment : {"l2", "cosine"}
        Nearest codeword (paper) or largest cosine (authors' code).
    temperature : float
        Of the soft assignment; smaller is sharper.
    is_temperature_relative : bool
        Measure the temperature in units of the mean squared residual of the batch at each level,
        so that later, smaller residuals are assigned as sharply as the first.
    has_offset : bool
        Take the mean feature off before quantising (methods where features share a large common
        part fail without it).
    scale_rule : {"free", "power"}
        A free scalar per level (authors' code), or powers of one learnable scalar w, level m
        using w^m (paper).
    initial_scale : float
        Start of the scalars: of level 1; a start from data replaces it.
    metric : {"ip", "l2", "cosine"}
        How queries are compared with reconstructions.
    """

    n_levels: int = 4
    n_codewords: int = 256
    assignment: Literal["l2", "cosine"] = "l2"
    temperature: float = 1.0
    is_temperature_relative: bool = False
    has_offset: bool = True
    scale_rule: Literal["free", "power"] = "free"
    initial_scale: float = 0.5
    metric: Literal["ip", "l2", "cosine"] = "ip"

    def __post_init__(self) -> None:
        if not 1 <= self.n_levels <= MOST_LEVELS:
            raise OptionError(f"n_levels must be from 1 to {MOST_LEVELS}, got {self.n_levels}.")
        if self.temperature <= 0:
            raise OptionError(f"temperature must be above 0, got {self.temperature}.")


@dataclass(frozen=True)
class RecurrentOutput:
    """What the block makes of a batch; sums run over the levels up to each one.

    Parameters
    ----------
    soft : Tensor of shape (L, B, D)
        Sums of the weighted means of codewords, offset added.
    hard : Tensor of shape (L, B, D)
        Sums of the chosen codewords, offset added: the reconstructions of all prefixes.
    codes : Tensor of shape (L, B), int64
    """

    soft: Tensor
    hard: Tensor
    codes: Tensor


class RecurrentQuantization(QuantizerBlock):
    """Quantise with one shared codebook and a scalar scale per level.

    Level m chooses from ``level_scales[m] * codebook`` the codeword for the residual
    ``x - offset - sum of the hard codewords before``; scale 0 is 1.

    References
    ----------
    Song et al., IJCAI 2019, section 3.2 (as reconstructed): hard and soft quantisation, residual
    recurrence with a scaled codebook.

    Notes
    -----
    With ``scale_rule="free"`` each level has its own scalar, as in the authors' code; their
    scalars start near 0 (`draw_scales`), so later levels do nothing at first and may turn
    negative. Ours start at a geometric sequence or from data.
    """

    def __init__(self, dim: int, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.codebook = nn.Parameter(torch.randn(config.n_codewords, dim) * 0.01)
        n_free = config.n_levels - 1 if config.scale_rule == "free" else min(1, config.n_levels - 1)
        start = config.initial_scale ** torch.arange(1.0, n_free + 1)
        self.scales = nn.Parameter(start)  # level 0 is fixed at 1
        self.offset: Tensor
        self.register_buffer("offset", torch.zeros(dim))

    @torch.no_grad()
    def draw_scales(self, deviation: float) -> None:
        """Start the scalars at draws of N(0, deviation^2) by torch's generator."""
        self.scales.normal_(std=deviation)

    def level_scales(self) -> Tensor:
        """Return the factor of each level, (M,); entry 0 is 1."""
        one = self.codebook.new_ones(1)
        if self.config.scale_rule == "power" and len(self.scales):
            powers = torch.arange(
                1, self.config.n_levels, device=one.device, dtype=self.scales.dtype
            )
            return torch.cat([one, self.scales[0] ** powers])
        return torch.cat([one, self.scales])

    def forward(self, x: Tensor, n_levels: int | None = None) -> RecurrentOutput:
        """Quantise features (B, D) with the first `n_levels` levels, all if None.

        Raises
        ------
        OptionError
            If there are not so many levels, or none are asked for.
        """
        most = self.config.n_levels
        n_levels = most if n_levels is None else n_levels
        if not 1 <= n_levels <= most:
            raise OptionError(f"n_levels must be from 1 to {most}, got {n_levels}.")
        residual = x - self.offset if self.config.has_offset else x
        start = self.offset if self.config.has_offset else torch.zeros_like(self.offset)
        soft_sum, hard_sum = start.expand_as(x), start.expand_as(x)
        soft, hard, codes = [], [], []
        for scale in self.level_scales()[:n_levels]:
            codebook = scale * self.codebook  # (K, D)
            logits = self._closeness(residual, codebook, scale)  # (B, K)
            code = logits.argmax(dim=1)
            chosen = codebook[code]  # (B, D)
            soft_sum = soft_sum + self._weights(logits, residual) @ codebook
            hard_sum = hard_sum + chosen
            residual = residual - chosen
            soft.append(soft_sum)
            hard.append(hard_sum)
            codes.append(code)
        return RecurrentOutput(torch.stack(soft), torch.stack(hard), torch.stack(codes))

    def _closeness(self, residual: Tensor, codebook: Tensor, scale: Tensor) -> Tensor:
        """Return minus the squared distance up to a constant of the row, or the cosine: (B, K).

        The cosine is that with the scaled codewords (K, D), as in the authors' code: a negative
        scale turns them round. `Codebooks.encode` chooses by the same rule.
        """
        if self.config.assignment == "cosine":
            unit = scale.detach().sign() * nn.functional.normalize(self.codebook)
            return nn.functional.normalize(residual) @ unit.T
        # |r|^2 is left out: softmax and argmax do not see it, and it would cost precision.
        return 2 * (residual @ codebook.T - 0.5 * codebook.square().sum(dim=1))

    def _weights(self, logits: Tensor, residual: Tensor) -> Tensor:
        temperature: Tensor | float = self.config.temperature
        if self.config.is_temperature_relative:
            mean = residual.detach().square().sum(dim=1).mean()
            temperature = self.config.temperature * mean.clamp_min(1e-8)
        return torch.softmax(logits / temperature, dim=1)

    @torch.no_grad()
    def set_codebooks(self, codebooks: Codebooks) -> None:
        """Take over a shared codebook, scales and offset that were fitted to fixed features.

        Raises
        ------
        OptionError
            If the levels follow the power rule and the scales are no powers of one number.
        """
        scales = torch.from_numpy(codebooks.level_scales).to(self.scales)
        if self.config.scale_rule == "power" and len(scales) > 1:
            powers = scales[1] ** torch.arange(len(scales), device=scales.device)
            # float32 rounding of a product of up to 15 factors
            if not torch.allclose(scales, powers, rtol=1e-4, atol=1e-6):
                raise OptionError(
                    "level scales must be powers of one number (scale_rule power), got "
                    f"{scales.tolist()}. Fit them with scale_rule power, or take the rule free."
                )
        self.codebook.copy_(torch.from_numpy(codebooks.codebooks))
        self.scales.copy_(scales[1 : len(self.scales) + 1])
        if codebooks.offset is not None:
            self.offset.copy_(torch.from_numpy(codebooks.offset))

    @torch.no_grad()
    def export_codebooks(self) -> Codebooks:
        """Return codebook, scales and offset as NumPy values; encoding with them is the same."""
        return Codebooks.shared(
            self.codebook.detach().float().cpu().numpy(),
            self.level_scales().detach().float().cpu().numpy(),
            offset=self.offset.float().cpu().numpy() if self.config.has_offset else None,
            metric=self.config.metric,
            assignment=self.config.assignment,
        )
