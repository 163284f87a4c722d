"""Users, and how operators make them."""

import pytest
from allauth.account.models import EmailAddress
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
ADDRESSES = "/admin/account/emailaddress"


def clerk_who_may(client: Client, *codenames: str) -> Client:
    user = permit(make_user("clerk@example.org", staff=True), *codenames)
    assert client.login(email=user.email, password=PASSWORD)
    return client


@pytest.fixture
def clerk(client: Client) -> Client:
    """Staff who may do all with accounts, addresses and groups, but are no superuser."""
    acts, models = ("add", "change", "delete", "view"), ("user", "emailaddress", "group")
    return clerk_who_may(client, *(f"{act}_{model}" for act in acts for model in models))


def make_boss() -> User:
    return User.objects.create_superuser("boss@example.org", PASSWORD)


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
    make_boss()
    pk = User.objects.get(email=email).pk
    form = {"post": "yes", "password1": "another fine one", "password2": "another fine one"}
    path = f"{PAGES}/{pk}/password/" if page == "password" else f"{PAGES}/{pk}/{page}/"
    assert clerk.post(path, form | RIGHTS).status_code == 403
    user = User.objects.get(email=email)
    assert user.check_password(PASSWORD)
    assert user.is_superuser == (email == "boss@example.org")


def test_staff_deletes_no_staff_with_many_others(clerk: Client) -> None:
    boss, user = make_boss(), make_user()
    form = {"action": "delete_selected", "_selected_action": [boss.pk, user.pk], "post": "yes"}
    assert clerk.post(f"{PAGES}/", form).status_code == 403
    assert User.objects.count() == 3


def test_whoever_may_only_change_accounts_does_not_rise(client: Client) -> None:
    clerk, user = clerk_who_may(client, "change_user"), make_user()
    oneself = User.objects.get(email="clerk@example.org")
    assert clerk.post(f"{PAGES}/{oneself.pk}/change/", RIGHTS).status_code == 403
    assert clerk.post(f"{PAGES}/{user.pk}/change/", RIGHTS).status_code == 302
    assert not User.objects.filter(is_superuser=True).exists()
    assert User.objects.get(is_staff=True) == oneself


@pytest.mark.parametrize("email", ["clerk@example.org", "boss@example.org"])
def test_staff_does_not_touch_the_addresses_of_staff(clerk: Client, email: str) -> None:
    make_boss()
    address = EmailAddress.objects.get(email=email)
    form = {"user": str(address.user_id), "email": "mine@example.org"}
    many = {"action": "delete_selected", "_selected_action": [address.pk], "post": "yes"}
    assert clerk.post(f"{ADDRESSES}/{address.pk}/change/", form).status_code == 403
    assert clerk.post(f"{ADDRESSES}/{address.pk}/delete/", {"post": "yes"}).status_code == 403
    assert clerk.post(f"{ADDRESSES}/", many).status_code == 403
    assert clerk.post(f"{ADDRESSES}/add/", form).status_code == 403
    assert EmailAddress.objects.get(user=address.user).email == email
    assert sign_in(Client(), email) == 200


def test_staff_verifies_no_address_of_staff(clerk: Client) -> None:
    user, other = make_user(verified=False), make_user("other@example.org", staff=True)
    EmailAddress.objects.update(verified=False)
    mark = {"action": "make_verified", "_selected_action": EmailAddress.objects.get(user=user).pk}
    assert clerk.post(f"{ADDRESSES}/", mark).status_code == 302
    mark["_selected_action"] = EmailAddress.objects.get(user=other).pk
    assert clerk.post(f"{ADDRESSES}/", mark).status_code == 403
    assert EmailAddress.objects.get(verified=True).user == user


def test_staff_gives_no_address_to_staff(clerk: Client) -> None:
    address, boss = EmailAddress.objects.get(user=make_user()), make_boss()
    form = {"user": str(address.user_id), "email": "new@example.org", "verified": "on"}
    page = f"{ADDRESSES}/{address.pk}/change/"
    assert clerk.post(page, form).status_code == 302
    assert clerk.post(page, form | {"user": str(boss.pk)}).status_code == 403
    address.refresh_from_db()
    assert (address.email, address.user.email) == ("new@example.org", "ada@example.org")


def test_whoever_may_only_look_at_addresses_verifies_none(client: Client) -> None:
    clerk = clerk_who_may(client, "view_emailaddress")
    address = EmailAddress.objects.get(user=make_user(verified=False))
    clerk.post(f"{ADDRESSES}/", {"action": "make_verified", "_selected_action": address.pk})
    address.refresh_from_db()
    assert not address.verified


def test_groups_are_the_superusers_own(clerk: Client) -> None:
    group = Group.objects.create(name="clerks")
    User.objects.get(email="clerk@example.org").groups.add(group)
    form = {"name": "clerks", "permissions": [1, 2, 3]}
    assert clerk.post(f"/admin/auth/group/{group.pk}/change/", form).status_code == 403
    assert clerk.post("/admin/auth/group/add/", form | {"name": "more"}).status_code == 403
    assert not group.permissions.exists()
