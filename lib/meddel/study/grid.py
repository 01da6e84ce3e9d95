"""The grid of the study: which encoders are pre-trained on what, in the order in which they are computed."""

from __future__ import annotations

from meddel.config import Config, Head, Run


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


def cells(run: Run, selectors: tuple[str, ...] | None = None) -> list[Cell]:
    """Return the cells of Table 3 seed by seed, so that a study that is cut short leaves whole seeds.

    The two references come first: without a clear gain of ``all`` over ``none`` no selector can be told from another.
    `selectors` None means the profile's.
    """
    return [
        cell
        for seed in run.seeds
        for cell in (
            Cell(selector="none", ratio=0.0, seed=seed),
            Cell(selector="all", ratio=1.0, seed=seed),
            *selected_cells(run, run.profile.selectors if selectors is None else selectors, seed),
        )
    ]


def selected_cells(run: Run, selectors: tuple[str, ...], seed: int) -> list[Cell]:
    """Return the cells of one seed that pre-train on a selection, the smallest ratios first."""
    return [Cell(selector=selector, ratio=ratio, seed=seed) for ratio in run.profile.ratios for selector in selectors]


def equal_epochs_cells(run: Run) -> list[Cell]:
    """Return the cells of Table 3 whose encoders see each of their images as often as that of the whole pool does.

    A subset then costs its share of the whole pre-training: what it saves, and what it may lose (section 4.4).
    """
    return [
        cell.model_copy(update={"compute": cell.ratio}) for cell in cells(run) if cell.selector not in ("none", "all")
    ]


def shorter_cells(run: Run) -> list[Cell]:
    """Return the cells of Table 4: MedDEL at the largest ratio below 1, pre-trained for less time."""
    return [
        Cell(selector="meddel", ratio=max(run.profile.ratios), seed=seed, compute=share)
        for seed in run.seeds
        for share in run.profile.compute_shares
        if share < 1
    ]


def heads(run: Run, seed: int) -> tuple[Head, ...]:
    """Return the heads that a seed's encoders get; those that are fine-tuned only for the first `tuned_seeds`."""
    tuned = run.profile.tuned_seeds
    if tuned is None or seed < run.seed + tuned:
        return run.profile.segment.heads
    return tuple(head for head in run.profile.segment.heads if head == "probe")
