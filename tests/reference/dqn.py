"""DQN, equation by equation, in plain loops over pairs, images, subspaces and codewords."""

import numpy as np


def similarity(labels, i, j):
    return 1.0 if (labels[i] & labels[j]).any() else -1.0


def cosine_loss(z, labels):
    """Eq. 3, over all ordered pairs."""
    total = 0.0
    for i in range(len(z)):
        for j in range(len(z)):
            cosine = z[i] @ z[j] / (np.linalg.norm(z[i]) * np.linalg.norm(z[j]))
            total += (similarity(labels, i, j) - cosine) ** 2
    return total


def inner_product_loss(z, labels):
    """The loss of DQNip with B = D, over all ordered pairs."""
    total = 0.0
    for i in range(len(z)):
        for j in range(len(z)):
            total += (similarity(labels, i, j) - z[i] @ z[j] / z.shape[1]) ** 2
    return total


def block_diagonal(codebooks):
    """C = diag(C_1, ..., C_M), (D, M K), of codebooks (M, K, D/M)."""
    n_levels, n_codewords, width = codebooks.shape
    c = np.zeros((n_levels * width, n_levels * n_codewords))
    for m in range(n_levels):
        c[m * width : (m + 1) * width, m * n_codewords : (m + 1) * n_codewords] = codebooks[m].T
    return c


def indicators(codes, n_codewords):
    """h of every item, (N, M K), of codes (M, N)."""
    h = np.zeros((codes.shape[1], len(codes) * n_codewords))
    for m, plane in enumerate(codes):
        for i, code in enumerate(plane):
            h[i, m * n_codewords + code] = 1
    return h


def quantization_loss(z, codebooks, codes):
    """Eq. 4: Q = sum_i |z_i - C h_i|^2."""
    c, h = block_diagonal(codebooks), indicators(codes, codebooks.shape[1])
    return float(sum(np.sum((z[i] - c @ h[i]) ** 2) for i in range(len(z))))


def nearest_codes(z, codebooks):
    """h_im = argmin_k |z_im - C_m[k]|, by trying all."""
    width = codebooks.shape[2]
    codes = np.zeros((len(codebooks), len(z)), dtype=np.int64)
    for m, codebook in enumerate(codebooks):
        for i in range(len(z)):
            part = z[i, m * width : (m + 1) * width]
            codes[m, i] = np.argmin([np.sum((part - codeword) ** 2) for codeword in codebook])
    return codes


def asymmetric_distance(query, codebooks, code):
    """Eq. 5: the sum of M entries of the query's table."""
    parts = query.reshape(len(codebooks), -1)
    return sum(np.sum((parts[m] - codebooks[m][code[m]]) ** 2) for m in range(len(codebooks)))
