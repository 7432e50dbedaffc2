"""Without tokens the service listens where only this machine can ask, unless it is told otherwise."""

from tests.support.world import World

_OPEN = {"PASSBOOK_HTTP_HOST": "0.0.0.0"}  # noqa: S104 - what is refused here


async def test_it_refuses_to_listen_for_everybody_without_tokens(world: World) -> None:
    process = world.start("query-api", **_OPEN)
    assert await process.ended(30) == 78
    (refused,) = process.logged("service.refused")
    assert "PASSBOOK_JWT_JWKS is not set" in refused["error"]


async def test_it_listens_for_everybody_when_that_is_allowed(world: World) -> None:
    process = world.start("query-api", PASSBOOK_ALLOW_HTTP_WITHOUT_TOKENS="true", **_OPEN)
    await process.ready()
    (warned,) = process.logged("http.without_tokens")
    assert warned["host"] == "0.0.0.0"  # noqa: S104 - what the log says
