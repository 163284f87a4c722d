"""No value in an address, a header or a form causes an error of the server."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client

from web.accounts.tests.factories import client_of, make_user
from web.problems.tests.asking import JSON, check

pytestmark = pytest.mark.django_db
# A line for each case: headers as WSGI has them, of which each character stands for one byte.
HOSTILE = [
    ("Authorization", "Bearer"),
    ("Authorization", "Bearer a b"),
    ("Authorization", "Bearer \xff\xfe"),
    ("Authorization", "Bearer " + "." * 5_000),
    ("Authorization", "Basic YTpi"),
    ("Authorization", "Negotiate"),
    ("Cookie", "sessionid=\x01; csrftoken=\xff"),
    ("Cookie", "sessionid=" + "x" * 5_000),
    ("Cookie", '=;;="; messages=[["x"]]'),
    ("Origin", "null"),
    ("Origin", "http://[::1"),
    ("Referer", "http://[::1"),
    ("Referer", "\xff"),
    ("Host", "localhost:99999999"),
    ("Host", "[::1"),
    ("Host", "\xff"),
    ("X-Forwarded-For", "%s, " * 500),
    ("X-Forwarded-For", "[::1%25\xff]:1"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "gopher"),
    ("Accept", "*"),
    ("Accept", "application/json; q=\xff"),
    ("Accept", "application/json; q*=punycode''%41"),
    ("Accept", ";,;=" * 500),
    ("Accept-Language", "xx-" * 500),
    ("Accept-Encoding", "gzip;q=x, \xff"),
    ("Range", "bytes=99-1,-,x"),
    ("If-Modified-Since", "Thu, 99 Feb 99999 99:99:99 GMT"),
    ("If-None-Match", 'W/"' + "x" * 500),
    ("Idempotency-Key", "\xff" * 300),
    ("X-Request-ID", "a\tb\xff"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-CSRFToken", "\xff"),
    ("Content-Type", "multipart/form-data"),
    ("Content-Type", "multipart/form-data; boundary=\xff"),
    ("Content-Type", "multipart/form-data; boundary=" + "x" * 500),
    ("Content-Type", "application/json; charset"),
]
PARTS = (
    '--x\r\nContent-Disposition: form-data; name="key"{0}\r\n'
    "Content-Type: text/plain; charset={1}\r\nContent-Transfer-Encoding: {2}\r\n\r\n"
    "{3}\r\n--x--\r\n"
)
HOSTILE_PARTS = [
    ("", "zlib", "base64", "!!!"),
    ("", "punycode", "quoted-printable", "=ZZ"),
    ("; filename*=punycode''%41", "utf-8", "8bit", "x"),
    ('; filename="../\0"', "utf-8", "x", "x"),
    ('; filename="' + "x" * 500 + '"', "idna", "base64", "eA=="),
]
ADDRESSES = [
    ("GET", "/api/v1/users/me"), ("GET", "/api/v1/jobs?wait=1"), ("POST", "/api/v1/auth/token"),
    ("POST", "/api/v1/jobs"), ("POST", "/api/v1/jobs/batch"), ("POST", "/verify"),
    ("GET", "/admin/login/"), ("POST", "/admin/login/"), ("GET", "/api/docs/"), ("GET", "/nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "/admin/jobs/job/?created_at__year=0",
        "/admin/jobs/job/?state__exact=%00",
        "/admin/mail/email/?created_at__year=99999999999",
        *(
            f"/admin/{model._meta.label_lower.replace('.', '/')}/?q=%00"
            for model in admin.site._registry
            if not model.__module__.startswith(tuple(settings.EXTRA_APPS))
        ),
    ],
)
def test_a_value_in_an_address_that_the_database_has_not_is_no_error_of_ours(
    admin_client: Client, address: str
) -> None:
    assert admin_client.get(address).status_code in (200, 302, 400)
    form = {"action": "delete_selected", "_selected_action": "x", "index": "0"}
    for action in (form, form | {"select_across": "1"}, {"_save": "", "form-TOTAL_FORMS": "x"}):
        assert admin_client.post(address, action).status_code in (200, 302, 400, 403)


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_no_header_causes_an_error_of_ours(method: str, path: str) -> None:
    for client in (Client(enforce_csrf_checks=True), client_of(make_user())):
        for name, value in HOSTILE:
            body = "" if method == "GET" else "{}"
            kind = value if name == "Content-Type" else JSON
            extra: Any = {f"HTTP_{name.upper().replace('-', '_')}": value}
            answer = client.generic(method, path, body, kind, **extra)
            assert answer.status_code < 500, (name, value)
            if answer.status_code >= 400 and path.startswith("/api/v1"):
                check(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("path", ["/api/v1/users", "/verify", "/admin/login/"])
def test_no_part_of_a_form_causes_an_error_of_ours(path: str) -> None:
    for part in HOSTILE_PARTS:
        body = PARTS.format(*part)
        answer = Client().generic("POST", path, body, "multipart/form-data; boundary=x")
        assert answer.status_code < 500, part


@pytest.mark.parametrize("key", ["x", "\0", "9" * 30, "", "\ud7ff\0"])
@pytest.mark.parametrize(
    ("page", "action"),
    [
        ("messaging/deadletter", "discard"),
        ("mail/email", "send_again"),
        ("tasks/periodictask", "pause"),
        ("accounts/user", "delete_selected"),
        ("account/emailaddress", "make_verified"),
        ("auth/group", "delete_selected"),
    ],
)
def test_to_act_on_what_is_no_key_is_no_error_of_ours(
    admin_client: Client, page: str, action: str, key: str
) -> None:
    form = {"action": action, "_selected_action": key}
    answer = admin_client.post(f"/admin/{page}/", form)
    some_text_is_a_key = page == "tasks/periodictask" and key.isprintable() and key
    assert answer.status_code == (302 if some_text_is_a_key else 400)
