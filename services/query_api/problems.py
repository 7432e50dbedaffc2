"""What a route answers when it cannot do what it was asked: `application/problem+json` (RFC 9457)."""


class Problem(Exception):
    """An answer that is an error of the catalogue; `detail` is for people."""

    def __init__(self, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers or {}
