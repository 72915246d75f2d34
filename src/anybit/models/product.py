"""The product quantisation block: a codebook per subspace, found by alternating two exact steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anybit.codes import MOST_LEVELS, Codebooks, bits_per_level
from anybit.errors import DataError, OptionError, ShapeError
from anybit.models.quantizer_block import QuantizerBlock
from anybit.types import Metric

__all__ = ["ProductConfig", "ProductOutput", "ProductQuantization"]

# Rows of one assignment: its table of (rows, M, K) stays small whatever the number of images.
_BLOCK_ROWS = 4096
# k-means++ looks at no more vectors than these.
_START_SAMPLE = 8192


@dataclass(frozen=True)
class ProductConfig:
    """Settings of the product quantiser.

    Parameters
    ----------
    n_levels : int
        Subspaces M; one code each.
    n_codewords : int
        Codewords K of a subspace, a power of two up to 256.
    has_rotation : bool
        Rotate the features before they are cut into subspaces (OPQ).
    metric : {"ip", "l2", "cosine"}
        How queries are compared with reconstructions; AQD of the paper is ``l2``.
    """

    n_levels: int = 4
    n_codewords: int = 256
    has_rotation: bool = False
    metric: Metric = "l2"

    def __post_init__(self) -> None:
        bits_per_level(self.n_codewords)
        if not 1 <= self.n_levels <= MOST_LEVELS:
            raise OptionError(f"n_levels must be from 1 to {MOST_LEVELS}, got {self.n_levels}.")


@dataclass(frozen=True)
class ProductOutput:
    """What the block makes of a batch.

    Parameters
    ----------
    hard : Tensor of shape (B, D)
        The chosen codewords, side by side: C h.
    codes : Tensor of shape (M, B), int64
    """

    hard: Tensor
    codes: Tensor


class ProductQuantization(QuantizerBlock):
    """Quantise each of M consecutive parts of a vector with a codebook of its own.

    The codewords are not parameters: no gradient moves them. `assign` finds the best codes for
    given codebooks, `update` the best codebooks for given codes; both are exact, because the
    subspaces share no dimension, and taking turns is k-means in each subspace.

    Parameters
    ----------
    dim : int
        Dimension D, a multiple of M.
    config : ProductConfig

    Attributes
    ----------
    codebooks : Tensor of shape (M, K, D/M)
        The blocks C_1, ..., C_M of the paper's C = diag(C_1, ..., C_M), a codeword a row.
    rotation : Tensor of shape (D, D), or None
        Orthogonal; x is quantised as ``x @ rotation``.

    Raises
    ------
    OptionError
        If D is no multiple of M.

    References
    ----------
    Jegou et al., "Product quantization for nearest neighbor search", TPAMI 2011; Cao et al.,
    "Deep Quantization Network for Efficient Image Retrieval", AAAI 2016, eq. 4.
    """

    def __init__(self, dim: int, config: ProductConfig) -> None:
        super().__init__()
        n_levels = config.n_levels
        if dim < n_levels or dim % n_levels:
            near = max(1, round(dim / n_levels)) * n_levels
            raise OptionError(
                f"the feature dimension must be a multiple of the {n_levels} subspaces, got {dim}. "
                f"Choose the dimension {near}, or other bits or codewords."
            )
        self.config = config
        self.codebooks: Tensor
        self.register_buffer(
            "codebooks", torch.zeros(n_levels, config.n_codewords, dim // n_levels)
        )
        self.rotation: Tensor | None
        self.register_buffer("rotation", torch.eye(dim) if config.has_rotation else None)

    def _parts(self, x: Tensor) -> Tensor:
        """Cut vectors (B, D), rotated, into subspaces (B, M, D/M)."""
        rotated = x if self.rotation is None else x @ self.rotation
        n_levels, _, width = self.codebooks.shape
        return rotated.reshape(-1, n_levels, width)

    @torch.no_grad()
    def assign(self, x: Tensor) -> Tensor:
        """Return the nearest codeword of each part of vectors (B, D): codes (M, B), int64.

        ``h_im = argmin_k |z_im - C_m[k]|``: exact. Ties go to the lower number.
        """
        half_sq_norms = 0.5 * self.codebooks.square().sum(dim=2)  # (M, K)
        codes = [
            # |z|^2 is left out: argmin does not see it, and it would cost precision.
            (
                torch.einsum("bmd,mkd->mbk", self._parts(rows), self.codebooks)
                - half_sq_norms[:, None]
            ).argmax(dim=2)  # (M, b)
            for rows in torch.split(x.detach(), _BLOCK_ROWS)
        ]
        return torch.cat(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the reconstructions C h (B, D) of codes (M, B)."""
        chosen = [codebook[plane] for codebook, plane in zip(self.codebooks, codes, strict=True)]
        rotated = torch.cat(chosen, dim=1)  # (B, D)
        return rotated if self.rotation is None else rotated @ self.rotation.T

    def forward(self, x: Tensor) -> ProductOutput:
        """Quantise features (B, D)."""
        codes = self.assign(x)
        return ProductOutput(self.decode(codes), codes)

    def quantization_loss(self, x: Tensor, codes: Tensor) -> Tensor:
        """Return ``Q = sum_i |z_i - C h_i|^2`` of features (B, D) with codes (M, B).

        References
        ----------
        Cao et al., AAAI 2016, eq. 4. The gradient of z_i is ``2 (z_i - C h_i)``.
        """
        return (x - self.decode(codes)).square().sum()

    @torch.no_grad()
    def update(self, x: Tensor, codes: Tensor) -> int:
        """Set every codeword to the mean of its members; return how many had none.

        The closed form of ``min_C sum_i |z_i - C h_i|^2``. A codeword without members moves to the
        worst described part of its subspace, where the next `assign` finds it; the codes given
        here do not use it, so Q does not rise.

        Parameters
        ----------
        x : Tensor of shape (N, D)
        codes : Tensor of shape (M, N), int64

        Raises
        ------
        ShapeError
            If the codes are not of these vectors.
        """
        n_levels, n_codewords, width = self.codebooks.shape
        if codes.shape != (n_levels, len(x)):
            raise ShapeError(
                f"codes must have shape ({n_levels}, {len(x)}), got {tuple(codes.shape)}. "
                "Assign these vectors first."
            )
        n_moved = 0
        for level, plane in enumerate(codes.cpu()):
            part = self._parts(x)[:, level].cpu()  # (N, D/M)
            # In float64 on the CPU: the order of a device's sums would change with every run.
            sums = part.new_zeros(n_codewords, width, dtype=torch.float64)
            sums.index_add_(0, plane, part.double())
            counts = torch.bincount(plane, minlength=n_codewords)  # (K,)
            means = (sums / counts.clamp_min(1)[:, None]).to(part.dtype)
            empty = torch.nonzero(counts == 0).flatten()
            if len(empty):
                errors = (part - means[plane]).square().sum(dim=1)
                worst = errors.topk(min(len(empty), len(part))).indices
                means[empty[: len(worst)]] = part[worst]
                n_moved += len(empty)
            self.codebooks[level] = means
        return n_moved

    @torch.no_grad()
    def start(self, x: Tensor, *, seed: int, n_iterations: int = 10) -> Tensor:
        """Find codebooks by k-means in every subspace; return the codes (M, N) of the vectors.

        Parameters
        ----------
        x : Tensor of shape (N, D)
        seed : int
            Of the k-means++ start.
        n_iterations : int
            Turns of `update` and `assign`.

        Raises
        ------
        DataError
            If there are fewer vectors than codewords.

        References
        ----------
        Arthur and Vassilvitskii, "k-means++", 2007 (start).
        """
        n_codewords = self.config.n_codewords
        if len(x) < n_codewords:
            raise DataError(
                f"at least {n_codewords} images are needed to learn {n_codewords} codewords, "
                f"got {len(x)}. Give more images, or ask for fewer codewords."
            )
        generator = torch.Generator().manual_seed(seed)
        sample = torch.randperm(len(x), generator=generator)[: max(_START_SAMPLE, n_codewords)]
        parts = self._parts(x)[sample.to(x.device)].cpu().transpose(0, 1)  # (M, n, D/M)
        self.codebooks.copy_(_spread_out(parts, n_codewords, generator))
        return self.improve(x, self.assign(x), n_iterations)

    @torch.no_grad()
    def improve(self, x: Tensor, codes: Tensor, n_iterations: int) -> Tensor:
        """Take turns of `update` and `assign`; return the codes (M, N). Q never rises."""
        for _ in range(n_iterations):
            self.update(x, codes)
            codes = self.assign(x)
        return codes

    @torch.no_grad()
    def set_codebooks(self, codebooks: Codebooks) -> None:
        """Take over product codebooks, and their rotation, that were fitted to features.

        Raises
        ------
        ShapeError
            If kind, sizes or rotation are not those of this block, or there is an offset.
        """
        has_rotation = codebooks.rotation is not None
        shape = tuple(self.codebooks.shape)
        if (
            not codebooks.has_subspaces
            or codebooks.codebooks.shape != shape
            or has_rotation != self.config.has_rotation
            or codebooks.offset is not None
        ):
            rotation = "with" if self.config.has_rotation else "without"
            raise ShapeError(
                f"codebooks must be of kind product, {shape}, {rotation} rotation and without "
                f"offset, got {codebooks.kind}, {codebooks.codebooks.shape}, "
                f"{'with' if has_rotation else 'without'} rotation and "
                f"{'without' if codebooks.offset is None else 'with'} offset."
            )
        self.codebooks.copy_(torch.from_numpy(codebooks.codebooks))
        if self.rotation is not None and codebooks.rotation is not None:
            self.rotation.copy_(torch.from_numpy(codebooks.rotation))

    def export_codebooks(self) -> Codebooks:
        """Return codebooks and rotation as NumPy values; encoding with them is the same."""
        return Codebooks.product(
            self.codebooks.float().cpu().numpy(),
            rotation=None if self.rotation is None else self.rotation.float().cpu().numpy(),
            metric=self.config.metric,
        )


def _spread_out(parts: Tensor, n_codewords: int, generator: torch.Generator) -> Tensor:
    """Draw vectors of each subspace by squared distance to those drawn: (M, n, w) to (M, K, w)."""
    rows = torch.arange(len(parts))
    chosen = parts[:, :1].clone()  # (M, 1, w)
    distances = torch.full(parts.shape[:2], torch.inf)
    for _ in range(n_codewords - 1):
        latest = (parts - chosen[:, -1:]).square().sum(dim=2)  # (M, n)
        distances = torch.minimum(distances, latest)
        # Equal chances where every vector is drawn already: any one will do.
        chances = distances + (distances.sum(dim=1, keepdim=True) <= 0)
        drawn = torch.multinomial(chances, 1, generator=generator).flatten()  # (M,)
        chosen = torch.cat([chosen, parts[rows, drawn][:, None]], dim=1)
    return chosen
