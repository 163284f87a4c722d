"""Signing in to the admin, as a browser does."""

import re

import httpx


def sign_in(http: httpx.Client, email: str, password: str, *, then: str = "/admin/") -> None:
    """Sign in by the form, and check that this leads to the address ``then``."""
    page = http.get("/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token, page.text
    form = {"csrfmiddlewaretoken": token[1], "username": email, "password": password}
    answer = http.post("/admin/login/", params={"next": then}, data=form | {"next": then})
    assert (answer.status_code, answer.headers["Location"]) == (302, then), answer.text
