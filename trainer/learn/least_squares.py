"""Regularised least squares, and what each row would have been answered had it not been fitted on, in closed form.

Minimised is ``sum_i w_i ||t_i - b - x_i W||^2 + alpha ||W||^2`` with a free intercept. Rows come first; targets and
decisions are ``(n_windows, n_outputs)``. The working matrix has the smaller side of X, so 20 windows of 50,000 features
are a problem of size 20. Up to `_EIGEN_SIZE` one eigendecomposition in float64 serves every alpha. Above it each alpha
takes a Cholesky factor, in float32 as long as alpha stands well above what float32 rounds off the Gram matrix (from
`_SAFE` of its mean diagonal on), else in float64. The solution itself is refined to float64 either way.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from trainer.learn.arrays import FloatArray, IntArray

Float64Array = npt.NDArray[np.float64]

_EIGEN_SIZE = 1500
_LIGHTEST = 1e-12
"""Of the heaviest row: a weight of 0 becomes this, so that the row still gets a decision and moves nothing."""
_BLOCK_LENGTH = 1024
_SAFE = 5e-5
_REFINED, _N_REFINEMENTS = 1e-10, 20


class LeastSquares:
    """One problem, solved for any alpha.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
    targets : ndarray of shape (n_windows, n_outputs)
    sample_weight : ndarray of shape (n_windows,), optional
        Not negative, at least one above 0.
    fit_intercept : bool

    Attributes
    ----------
    unit : float
        Mean squared length of a row about the mean row: for standardised features, their number. Natural scale of
        alpha: it is the ratio of noise to signal times this.
    is_large : bool
        Whether each alpha costs a factorisation of its own.

    Notes
    -----
    With ``H = X (X'X + alpha I)^-1 X'``, the residuals of a block G by a fit without it are ``(I - H_GG)^-1 r_G``: Cook
    & Weisberg, *Residuals and Influence in Regression* (1982), section 3.6; An, Liu & Venkatesh, *Pattern Recognition*
    40 (2007), 2154-2162. One row: Hastie, Tibshirani & Friedman, *Elements of Statistical Learning*, section 7.10. More
    features than windows: section 18.3.5. The intercept adds ``s s'`` to H, where s is the constant of unit length.

    Examples
    --------
    >>> X, targets = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [5.0]])
    >>> problem = LeastSquares(X, targets)
    >>> weights, bias = problem.solution(1e-9)
    >>> weights.round(3).tolist(), bias.round(3).tolist()
    ([[2.5]], [-0.5])
    >>> problem.held_out(1e-9).round(3).tolist()  # the line through the two other points
    [[-3.0], [2.5], [2.0]]
    """

    def __init__(
        self,
        X: FloatArray,
        targets: FloatArray,
        sample_weight: FloatArray | None = None,
        *,
        fit_intercept: bool = True,
    ) -> None:
        n_windows, n_features = X.shape
        self._n_windows = n_windows
        self.is_large = min(X.shape) > _EIGEN_SIZE
        self._is_dual = n_features > n_windows
        self._targets = np.asarray(targets, np.float64)
        weights = np.ones(n_windows) if sample_weight is None else np.asarray(sample_weight, np.float64)
        weights = np.maximum(weights, _LIGHTEST * weights.max())
        self._roots = np.sqrt(weights)[:, np.newaxis]
        shares = weights / weights.sum()
        if fit_intercept:
            self._x_mean = shares @ X if X.dtype == np.float64 else _mean(X, shares)
            self._t_mean = shares @ self._targets
            self._constant = self._roots / np.linalg.norm(self._roots)
        else:
            self._x_mean, self._t_mean = np.zeros(n_features), np.zeros(self._targets.shape[1])
            self._constant = np.zeros((n_windows, 1))
        self._kept: tuple[float, FloatArray] | None = None
        self._last: tuple[float, FloatArray] | None = None
        self._X = X
        self._t = self._roots * (self._targets - self._t_mean)
        self._factorise(np.float32 if self.is_large else np.float64)

    def _row_blocks(self) -> list[slice]:
        return [slice(at, at + _BLOCK_LENGTH) for at in range(0, self._n_windows, _BLOCK_LENGTH)]

    def _scaled(self, rows: slice) -> Float64Array:
        """Return the centred and weighted rows in float64."""
        centred: Float64Array = self._X[rows] - self._x_mean
        if (self._roots != 1.0).any():
            centred *= self._roots[rows]
        return centred

    def _factorise(self, dtype: type[np.float32 | np.float64]) -> None:
        self._rows: FloatArray = np.empty(self._X.shape, dtype)
        for block in self._row_blocks():
            self._rows[block] = self._scaled(block)
        gram = self._rows @ self._rows.T if self._is_dual else self._rows.T @ self._rows
        square = float(np.trace(gram, dtype=np.float64))
        self.unit = square / self._n_windows if square > 0.0 else 1.0
        if self._is_dual:
            # The constant is an eigenvector of the centred Gram matrix, to 0. Lifted by the unit it does not take part
            # at any alpha, and can be taken out again without a difference of near-equal numbers.
            constant = self._constant.astype(dtype)
            gram += dtype(self.unit) * (constant @ constant.T)
        self._gram = gram
        if not self.is_large:
            values, vectors = np.linalg.eigh(gram)
            self._values = np.maximum(values, 0.0)[:, np.newaxis]
            self._basis = vectors
            self._modes = vectors.T if self._is_dual else vectors.T @ self._rows.T

    def _root(self, alpha: float) -> FloatArray:
        """Return R with ``R'R = (K + alpha I)^-1`` in the space of windows, or ``R'R = H`` in that of features."""
        if not self.is_large:
            scaled: FloatArray = self._modes / np.sqrt(self._values + alpha)
            return scaled
        factor = self._cholesky(alpha)
        if self._is_dual:
            inverse, _ = scipy.linalg.lapack.strtri(factor, lower=1)
            return np.asarray(inverse)
        solved: FloatArray = scipy.linalg.solve_triangular(factor, self._rows.T, lower=True, check_finite=False)
        return solved

    def keep(self) -> None:
        """Keep the factor of the alpha that was last asked for: `solution` then need not make it again."""
        self._kept = self._last

    def _cholesky(self, alpha: float) -> FloatArray:
        if self._kept is not None and self._kept[0] == alpha:
            return self._kept[1]
        if self._gram.dtype == np.float32 and alpha < _SAFE * self.unit:
            self._factorise(np.float64)
        # The transpose of the symmetric matrix is the same one in the order of LAPACK, which spares a copy.
        shifted = self._gram.copy().T
        shifted[np.diag_indices(len(shifted))] += alpha
        factor: FloatArray = scipy.linalg.cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
        self._last = (alpha, factor)
        return factor

    def held_out(self, alpha: float, blocks: Sequence[tuple[IntArray, IntArray]] | None = None) -> Float64Array:
        """Return the decision of every judged row by the fit that leaves its block out.

        Parameters
        ----------
        alpha : float
            > 0.
        blocks : sequence of (left_out, judged), optional
            Rows that are not fitted on, and those among them that get a decision: more may be left out than judged.
            Left out: every row alone.

        Returns
        -------
        decisions : ndarray of shape (n_windows, n_outputs)
            NaN for rows that no block judges.
        """
        root = self._root(alpha)
        t = self._t.astype(root.dtype)
        if self._is_dual:
            # I - H = alpha (K + alpha I)^-1, where the lifted constant keeps alpha / (unit + alpha) of itself.
            rest = alpha / (self.unit + alpha)
            residuals = alpha * (root.T @ (root @ t)).astype(np.float64)
        else:
            rest = 1.0
            residuals = self._t - (root.T @ (root @ t)).astype(np.float64)
        if blocks is None:
            squares = np.einsum("ij,ij->j", root, root).astype(np.float64)[:, np.newaxis]
            left = (alpha * squares if self._is_dual else 1.0 - squares) - rest * self._constant**2
            alone: Float64Array = self._targets - residuals / left / self._roots
            return alone
        decisions = np.full_like(self._targets, np.nan)
        for left_out, judged in blocks:
            part, constant = root[:, left_out], self._constant[left_out]
            if not self._is_dual and len(left_out) > len(part) + 1:
                # A block longer than the problem is wide: the same inverse, by Woodbury's identity, of the small side.
                thin = np.vstack([part, constant.T]).astype(np.float64)
                small = np.eye(len(thin)) - thin @ thin.T
                errors = residuals[left_out] + thin.T @ _solve(small, thin @ residuals[left_out])
            else:
                block = (part.T @ part).astype(np.float64)
                block = alpha * block if self._is_dual else np.eye(len(left_out)) - block
                errors = _solve(block - rest * (constant @ constant.T), residuals[left_out])
            predicted = self._targets[left_out] - errors / self._roots[left_out]
            decisions[judged] = predicted[np.isin(left_out, judged)]
        return decisions

    def solution(self, alpha: float) -> tuple[Float64Array, Float64Array]:
        """Return weights ``(n_features, n_outputs)`` and bias ``(n_outputs,)`` of the fit on all rows, in float64."""
        if self.is_large:
            weights = self._refined(alpha)
        else:
            wanted = self._t if self._is_dual else self._rows.T @ self._t
            weights = self._basis @ ((self._basis.T @ wanted) / (self._values + alpha))
            if self._is_dual:
                weights = self._rows.T @ weights
        return weights, self._t_mean - self._x_mean @ weights

    def _refined(self, alpha: float) -> Float64Array:
        """Solve with the float32 factor, then with it again for what float64 still finds missing."""
        factor = self._cholesky(alpha)
        wanted = self._t if self._is_dual else self._normal(self._t, transposed=True)
        found = np.zeros_like(wanted)
        missing = wanted
        for _ in range(_N_REFINEMENTS):
            step = scipy.linalg.cho_solve((factor, True), missing.astype(factor.dtype), check_finite=False)
            found += step
            missing = wanted - self._times_matrix(found) - alpha * found
            if np.linalg.norm(missing) <= _REFINED * np.linalg.norm(wanted):
                break
        return self._normal(found, transposed=True) if self._is_dual else found

    def _times_matrix(self, vectors: Float64Array) -> Float64Array:
        if self._is_dual:
            lifted: Float64Array = self.unit * self._constant @ (self._constant.T @ vectors)
            return self._normal(self._normal(vectors, transposed=True)) + lifted
        return self._normal(self._normal(vectors), transposed=True)

    def _normal(self, vectors: Float64Array, *, transposed: bool = False) -> Float64Array:
        """Return the scaled rows (or their transpose) times some vectors, in float64, block by block."""
        if not transposed:
            return np.vstack([self._scaled(block) @ vectors for block in self._row_blocks()])
        total = np.zeros((self._X.shape[1], vectors.shape[1]))
        for block in self._row_blocks():
            total += self._scaled(block).T @ vectors[block]
        return total


def _mean(X: FloatArray, shares: Float64Array) -> Float64Array:
    total = np.zeros(X.shape[1])
    for at in range(0, len(X), _BLOCK_LENGTH):
        total += shares[at : at + _BLOCK_LENGTH] @ X[at : at + _BLOCK_LENGTH].astype(np.float64)
    return total


def _solve(matrix: Float64Array, right: Float64Array) -> Float64Array:
    solved: Any = scipy.linalg.solve(matrix, right, assume_a="pos", check_finite=False)
    return np.asarray(solved, np.float64)


def signed_targets(class_indices: IntArray, n_classes: int) -> Float64Array:
    """Return +1 in the column of the class and -1 elsewhere; two classes have one column, +1 for class 1.

    Examples
    --------
    >>> signed_targets(np.array([0, 1]), 2).tolist(), signed_targets(np.array([0, 2]), 3).tolist()
    ([[-1.0], [1.0]], [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]])
    """
    columns = np.arange(n_classes) if n_classes > 2 else np.array([1])
    return np.where(class_indices[:, np.newaxis] == columns, 1.0, -1.0)


def blocks_of(groups: npt.NDArray[Any]) -> list[tuple[IntArray, IntArray]]:
    """Return one block a group, for `LeastSquares.held_out`.

    Examples
    --------
    >>> [left_out.tolist() for left_out, _ in blocks_of(np.array([7, 8, 7]))]
    [[0, 2], [1]]
    """
    _, members = np.unique(groups, return_inverse=True)
    order = np.argsort(members.reshape(-1), kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(members.reshape(-1)))[:-1])
    return [(part, part) for part in parts]


def blocks_of_folds(folds: Sequence[tuple[IntArray, IntArray]], n_windows: int) -> list[tuple[IntArray, IntArray]]:
    """Return the blocks of ``(fitted, held_out)`` folds: a purged row is in neither, so it is left out, not judged.

    Raises
    ------
    ValueError
        If a fold has no rows on a side, rows on both, or rows that are not there.

    Examples
    --------
    >>> [(left_out, judged)] = blocks_of_folds([(np.array([0, 1]), np.array([3]))], 4)
    >>> left_out.tolist(), judged.tolist()
    ([2, 3], [3])
    """
    blocks: list[tuple[IntArray, IntArray]] = []
    for number, (fitted, held_out) in enumerate(folds):
        is_fitted, judged = np.zeros(n_windows, dtype=bool), np.unique(held_out)
        if not len(fitted) or not len(judged):
            msg = f"folds[{number}]: expected rows on both sides, got {len(fitted)} fitted and {len(judged)} held out"
            raise ValueError(msg)
        if min(judged.min(), np.min(fitted)) < 0 or max(judged.max(), np.max(fitted)) >= n_windows:
            msg = f"folds[{number}]: expected rows in 0 .. {n_windows - 1}"
            raise ValueError(msg)
        is_fitted[fitted] = True
        if is_fitted[judged].any():
            msg = f"folds[{number}]: row {judged[is_fitted[judged]][0]} is both fitted and held out"
            raise ValueError(msg)
        blocks.append((np.flatnonzero(~is_fitted), judged))
    return blocks


def ridge_path(
    X: FloatArray,
    class_indices: IntArray,
    folds: Sequence[tuple[IntArray, IntArray]] | None,
    alphas: Sequence[float] | Float64Array,
    *,
    n_classes: int | None = None,
    sample_weight: FloatArray | None = None,
) -> Float64Array:
    """Return the held-out decisions of a ridge classifier at every alpha, without a fit per fold.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
        Standardised features.
    class_indices : ndarray of shape (n_windows,), int
    folds : sequence of (fitted, held_out), or None
        Row numbers. Rows on neither side are left out of both. None: every row alone.
    alphas : sequence of float
        > 0.
    n_classes : int, optional
        Of the problem; left out: the highest class index, plus 1.
    sample_weight : ndarray of shape (n_windows,), optional

    Returns
    -------
    decisions : ndarray of shape (n_alphas, n_windows, n_outputs)
        Near +1 for the own class and near -1 elsewhere; NaN for rows that no fold holds out.

    Raises
    ------
    ValueError
        If a fold or an alpha cannot be used.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> folds = [(np.array([1, 2]), np.array([0, 3])), (np.array([0, 3]), np.array([1, 2]))]
    >>> ridge_path(X, y, folds, [1e-9]).round(2)[0, :, 0].tolist()
    [-3.0, -0.33, 0.33, 3.0]
    """
    if not len(alphas) or min(alphas) <= 0.0:
        msg = f"alphas: expected numbers > 0, got {list(alphas)}"
        raise ValueError(msg)
    targets = signed_targets(class_indices, int(class_indices.max()) + 1 if n_classes is None else n_classes)
    problem = LeastSquares(X, targets, sample_weight)
    blocks = None if folds is None else blocks_of_folds(folds, len(X))
    return np.stack([problem.held_out(float(alpha), blocks) for alpha in alphas])
