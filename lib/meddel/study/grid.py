"""The grid of the study: which encoders are pre-trained on what, in the order in which they are computed."""

from __future__ import annotations

from meddel.config import Config, Run


class Cell(Config):
    """One encoder of the study.

    `selector` is ``none`` (no pre-training), ``all`` (the whole pool) or the name of a selector; `ratio` is the
    retention ratio R (0 for ``none``, 1 for ``all``); `compute` is the share of the full pre-training that it gets.
    """

    selector: str
    ratio: float
    seed: int
    compute: float = 1.0

    @property
    def name(self) -> str:
        """A folder name that tells the cells of one seed apart."""
        ratio = "" if self.selector in ("none", "all") else f"-{self.ratio:g}"
        share = "" if self.compute == 1 else f"-compute-{self.compute:g}"
        return f"{self.selector}{ratio}{share}"


def cells(run: Run, selectors: tuple[str, ...] = ("random", "meddel")) -> list[Cell]:
    """Return the cells of Table 3 seed by seed, so that a study that is cut short leaves whole seeds.

    The two references come first: without a clear gain of ``all`` over ``none`` no selector can be told from another.
    """
    return [
        cell
        for seed in run.seeds
        for cell in (
            Cell(selector="none", ratio=0.0, seed=seed),
            Cell(selector="all", ratio=1.0, seed=seed),
            *(
                Cell(selector=selector, ratio=ratio, seed=seed)
                for ratio in run.profile.ratios
                for selector in selectors
            ),
        )
    ]


def shorter_cells(run: Run) -> list[Cell]:
    """Return the cells of Table 4: MedDEL at the largest ratio below 1, pre-trained for less time."""
    return [
        Cell(selector="meddel", ratio=max(run.profile.ratios), seed=seed, compute=share)
        for seed in run.seeds
        for share in run.profile.compute_shares
        if share < 1
    ]
