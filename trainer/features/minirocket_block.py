"""The block `minirocket`: how often the response of a kernel exceeds a bias.

Dempster, Schmidt, Webb: MiniRocket, KDD 2021, arXiv 2012.08791.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from trainer.features.block import Features, Signals
from trainer.features.convolution import FittedBank, fit_banks, is_positive, responses, row_names
from trainer.features.course import PLAIN_COURSE, CourseOptions
from trainer.features.fitting import Probe
from trainer.features.kernels import plan_banks


@dataclass(frozen=True, slots=True)
class MiniRocketBlock:
    """Share of positive values (PPV) of 84 fixed kernels at several dilations, each with several biases.

    Parameters
    ----------
    n_features : int
        Exactly so many, >= 1; less than 84 leave kernels out.
    seed : int
        Which channels are summed, which kernels are padded, which windows give the biases.
    banks : tuple of FittedBank
        Empty until fitted.
    course : CourseOptions
        Chosen by `fitted`.
    """

    kind: ClassVar[str] = "minirocket"
    default_n_features: ClassVar[int] = 10_000

    n_features: int = default_n_features
    seed: int = 0
    banks: tuple[FittedBank, ...] = ()
    course: CourseOptions = PLAIN_COURSE

    @property
    def parameters(self) -> dict[str, Any]:
        """What the block was built with; the biases stand in the graph alone."""
        dilations = sorted({fitted.bank.dilation for fitted in self.banks})
        return {"n_features": self.n_features, "dilations": dilations, "seed": self.seed, **self.course.parameters}

    def fitted(self, probe: Probe) -> MiniRocketBlock:
        """Return the block with its banks planned and their biases fitted.

        Raises
        ------
        ValueError
            If the windows have fewer than 9 samples.
        """
        generator = probe.generator(self.kind)
        course = CourseOptions.chosen(self.n_features, varies_in_length=probe.varies_in_length)
        n_signals = course.n_signals(probe.scaling)
        # A kernel has no whole response in a window shorter than itself: where lengths vary, all of them are padded.
        banks = plan_banks(self.n_features, probe.window_length, n_signals, generator, pad_all=course.is_masked)
        return MiniRocketBlock(self.n_features, probe.seed, fit_banks(probe, course.build, banks, generator), course)

    def build(self, signals: Signals) -> Features:
        """Add the nodes and return the features.

        Raises
        ------
        ValueError
            If the block is not fitted.
        """
        if not self.banks:
            raise ValueError(
                "minirocket features: a fitted block expected (FeatureExtractor.fitted), got an unfitted one"
            )
        course = self.course.build(signals)
        shares = [
            course.own_share(is_positive(responses(course, fitted.bank, fitted.biases)).mean()) for fitted in self.banks
        ]
        value = signals.graph.apply("Flatten", signals.graph.concat(shares, axis=1), axis=1)
        return Features(value, tuple(name for fitted in self.banks for name in row_names(course.names, fitted, "ppv")))
