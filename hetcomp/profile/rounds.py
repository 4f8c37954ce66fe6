"""Rounds over the batches that are compiled: each is visited in several of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hetcomp.cost.profile import KernelSample
from hetcomp.errors import HetcompError, LinkError
from hetcomp.profile.build import Build
from hetcomp.profile.measurer import Measurer
from hetcomp.profile.visits import Visit, samples_of

__all__ = ["Finished", "Rounds"]


@dataclass(frozen=True)
class Finished:
    """A batch that is done with: its samples, or why it has none."""

    build: Build
    samples: tuple[KernelSample, ...]
    failure: str = ""


@dataclass
class _Open:
    build: Build
    visits: list[Visit] = field(default_factory=list)


class Rounds:
    """Visits every batch in so many rounds; a new batch begins a round.

    Parameters
    ----------
    measurer
        Makes the visits.
    visits
        Wanted of each batch.
    """

    def __init__(self, measurer: Measurer, visits: int) -> None:
        self._measurer, self._visits = measurer, visits
        self._open: list[_Open] = []

    def add(self, build: Build) -> Iterator[Finished]:
        """One round, which visits `build` too; yields the batches that are finished by it."""
        self._open.append(_Open(build))
        yield from self._round()

    def finish(self) -> Iterator[Finished]:
        """Rounds until no batch is left."""
        while self._open:
            yield from self._round()

    def _round(self) -> Iterator[Finished]:
        for item in tuple(self._open):
            found = self._visit(item)
            if found is not None:
                self._open.remove(item)
                yield found

    def _visit(self, item: _Open) -> Finished | None:
        try:
            item.visits.append(self._measurer.visit(item.build))
        except LinkError:
            raise  # there is no board any more
        except (HetcompError, ChildProcessError, TimeoutError) as error:
            return Finished(item.build, (), f"{type(error).__name__}: {error}")
        if len(item.visits) < self._visits:
            return None
        return Finished(item.build, samples_of(item.visits))
