"""Users, and how operators make them."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client

from web.accounts.models import User
from web.accounts.tests.factories import PASSWORD, make_user, permit

pytestmark = pytest.mark.django_db


def sign_in(client: Client, email: str) -> int:
    credentials = {"email": email, "password": PASSWORD}
    answer = client.post("/api/v1/auth/token", credentials, content_type="application/json")
    return answer.status_code


def test_an_address_belongs_to_one_user_in_any_case() -> None:
    make_user("ada@example.org")
    for email in ("ada@example.org", "ADA@example.org"):
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.create_user(email)


def test_the_database_takes_no_address_in_upper_case() -> None:
    with pytest.raises(IntegrityError, match="user_email_lower_case"):
        User.objects.bulk_create([User(email="Ada@example.org")])


def test_a_user_is_found_by_address_in_any_case() -> None:
    user = make_user()
    assert User.objects.get_by_natural_key("ADA@example.org") == user


def test_an_operator_made_on_the_command_line_can_sign_in_everywhere(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--no-input", email="Root@Example.org")
    user = User.objects.get()
    assert (user.email, user.is_staff, user.is_superuser) == ("root@example.org", True, True)
    assert sign_in(client, "root@example.org") == 200
    login = {"username": "ROOT@example.org", "password": PASSWORD, "next": "/admin/"}
    assert client.post("/admin/login/", login).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_an_account_without_a_password_opens_to_nobody() -> None:
    user = User.objects.create_user("ada@example.org")
    assert not user.has_usable_password()
    assert authenticate(email="ada@example.org", password="") is None


def test_an_operator_makes_users_whose_address_counts_as_verified(admin_client: Client) -> None:
    form = {
        "email": "Grace@Example.org",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    answer = admin_client.post("/admin/accounts/user/add/", form)
    assert answer.status_code == 302, answer.content.decode()
    assert sign_in(Client(), "grace@example.org") == 200


def test_an_operator_sees_users_and_cannot_change_their_address(admin_client: Client) -> None:
    user = make_user()
    assert "ada@example.org" in admin_client.get("/admin/accounts/user/").content.decode()
    page = admin_client.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    assert "ada@example.org" in page
    assert 'name="email"' not in page


RIGHTS = {"is_staff": "on", "is_superuser": "on", "is_active": "on"}
PAGES = "/admin/accounts/user"


@pytest.fixture
def clerk(client: Client) -> Client:
    """Staff who may make, change and delete accounts and groups, but are no superuser."""
    codenames = [f"{act}_{model}" for act in ("add", "change", "delete", "view")
                 for model in ("user", "group")]  # fmt: skip
    user = permit(make_user("clerk@example.org", staff=True), *codenames)
    assert client.login(email=user.email, password=PASSWORD)
    return client


def test_staff_closes_accounts_and_gives_nobody_rights(clerk: Client) -> None:
    user = make_user()
    page = f"{PAGES}/{user.pk}/change/"
    assert clerk.post(page, RIGHTS | {"groups": [], "user_permissions": [1]}).status_code == 302
    user.refresh_from_db()
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)
    assert not user.user_permissions.exists()
    clerk.post(page, {})
    user.refresh_from_db()
    assert not user.is_active


def test_staff_makes_no_staff(clerk: Client) -> None:
    form = {"email": "new@example.org", "usable_password": "true", "password1": PASSWORD,
            "password2": PASSWORD}  # fmt: skip
    assert clerk.post(f"{PAGES}/add/", form | RIGHTS).status_code == 302
    made = User.objects.get(email="new@example.org")
    assert (made.is_staff, made.is_superuser) == (False, False)


@pytest.mark.parametrize("email", ["clerk@example.org", "boss@example.org"])
@pytest.mark.parametrize("page", ["change", "password", "delete"])
def test_staff_does_not_touch_the_accounts_of_staff(clerk: Client, page: str, email: str) -> None:
    User.objects.create_superuser("boss@example.org", PASSWORD)
    pk = User.objects.get(email=email).pk
    form = {"post": "yes", "password1": "another fine one", "password2": "another fine one"}
    path = f"{PAGES}/{pk}/password/" if page == "password" else f"{PAGES}/{pk}/{page}/"
    assert clerk.post(path, form | RIGHTS).status_code == 403
    user = User.objects.get(email=email)
    assert user.check_password(PASSWORD)
    assert user.is_superuser == (email == "boss@example.org")


def test_staff_deletes_no_staff_with_many_others(clerk: Client) -> None:
    boss, user = User.objects.create_superuser("boss@example.org", PASSWORD), make_user()
    form = {"action": "delete_selected", "_selected_action": [boss.pk, user.pk], "post": "yes"}
    assert clerk.post(f"{PAGES}/", form).status_code == 403
    assert User.objects.count() == 3


def test_groups_are_the_superusers_own(clerk: Client) -> None:
    group = Group.objects.create(name="clerks")
    User.objects.get(email="clerk@example.org").groups.add(group)
    form = {"name": "clerks", "permissions": [1, 2, 3]}
    assert clerk.post(f"/admin/auth/group/{group.pk}/change/", form).status_code == 403
    assert clerk.post("/admin/auth/group/add/", form | {"name": "more"}).status_code == 403
    assert not group.permissions.exists()
