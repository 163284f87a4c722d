"""A small client of Warren's API, for the demo."""

from typing import Any, Self

import httpx

from local.errors import LocalError


class Api:
    """Sends requests. An answer with an error ends the demo, except from `attempt`."""

    def __init__(self, web_url: str) -> None:
        # Longer than the longest ?wait= that the demo uses.
        self._http = httpx.Client(base_url=f"{web_url}/api/v1/", timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def use_token(self, token: str) -> None:
        self._http.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> httpx.Response:
        return _checked(self._http.get(path))

    def post(self, path: str, body: Any) -> httpx.Response:
        return _checked(self._http.post(path, json=body))

    def attempt(self, path: str, body: Any) -> httpx.Response:
        """Post a request that the API is going to refuse."""
        return self._http.post(path, json=body)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        request = f"{answer.request.method} {answer.request.url.path}"
        raise LocalError(f"{request} was answered {answer.status_code}:\n{answer.text[:2000]}")
    return answer
