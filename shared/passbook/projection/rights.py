"""What the login of a projector has to be allowed to do in the database of the read models."""

from typing import Final

from passbook.projection.protocol import Projection

_RUNTIME: Final = (
    "SELECT projections.installed",
    "UPDATE projections.installed",
    "SELECT projections.positions",
    "UPDATE projections.positions",
    "SELECT projections.parked",
)
_PARKS: Final = ("INSERT projections.parked", "UPDATE projections.parked")


def rights_of(projection: Projection) -> list[str]:
    """Return what the login of `projection` does, as a verb and what it is done to."""
    needs = (need.split(" ") for need in projection.needs)
    tables = [f"{verb} {projection.schema}.{table}" for verb, table in needs]
    return [*_RUNTIME, *(_PARKS if projection.parks else ()), *tables]
