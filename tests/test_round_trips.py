"""Both kinds of work, all the way from the client and back."""

from .support.api import Account, Gate, connect, key_in, text_of
from .support.stack import Stack
from .support.wire import Wire


def test_a_registered_address_is_verified_by_the_key_in_a_mail(
    stack: Stack, visitor: Account
) -> None:
    [mail] = stack.poll(lambda: stack.smtp.mails_to(visitor.email), bool, "verification mail")
    key = key_in(mail)
    link = f"{stack.settings.web_url}/verify?key="
    for subtype in ("plain", "html"):
        assert link in text_of(mail, subtype)
        assert key in text_of(mail, subtype)

    assert visitor.post("users/verify", {"key": key}).json() == {
        "email": visitor.email,
        "verified": True,
    }
    mails = stack.poll(
        lambda: stack.smtp.mails_to(visitor.email), lambda found: len(found) == 2, "welcome mail"
    )
    assert mails[1]["Subject"] == "Welcome to Warren"

    visitor.sign_in()
    me = visitor.get("users/me")
    assert (me["email"], me["email_verified"]) == (visitor.email, True)


def test_nobody_signs_in_before_the_address_is_verified(visitor: Account) -> None:
    body = {"email": visitor.email, "password": visitor.password}
    problem = visitor.post("auth/token", body, expect=401).json()
    assert problem["code"] == "wrong_credentials"
    assert "open the link in the mail first" in problem["detail"]
    visitor.get("users/me", expect=401)


def test_the_list_of_mails_shows_what_the_mail_server_answered(stack: Stack, user: Account) -> None:
    def states() -> dict[str, str]:
        return {mail["template"]: mail["state"] for mail in user.get("mails")["results"]}

    stack.poll(states, {"verify_email": "sent", "welcome": "sent"}.__eq__, "two sent mails")
    mail = user.mail("welcome")
    assert mail["answer"].startswith("250 2.0.0 Ok: queued as")
    assert [attempt["outcome"] for attempt in mail["history"]] == ["sent"]
    assert mail["history"][0]["worker"].startswith("mailer-")
    assert mail["message_id"] == stack.smtp.mails_to(user.email)[1]["Message-ID"]


def test_a_sum_is_computed_while_the_client_waits(user: Account) -> None:
    body = {"computation": "add", "arguments": {"x": 4, "y": 6}}
    accepted = user.post("jobs", body, expect=202)
    assert accepted.headers["Location"].endswith(f"/api/v1/jobs/{accepted.json()['id']}")
    job = user.get(accepted.headers["Location"], params={"wait": 10})
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", 10, 1)
    assert job["worker"].startswith("compute-")
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]


def test_a_long_computation_shows_how_far_it_has_come(stack: Stack, user: Account) -> None:
    job_id = user.submit("count_primes", limit=10**9)
    job = stack.poll(lambda: user.job(job_id), lambda job: job["progress"], "progress")
    assert job["state"] == "running"
    assert job["worker"].startswith("compute-")
    assert 0 < job["progress"]["done"] < job["progress"]["total"] == 10**9
    job = user.job(job_id, wait=60)
    assert job["state"] == "succeeded"
    assert job["progress"] == {"done": 10**9, "total": 10**9}
    assert job["result"] == {"limit": 10**9, "count": 50_847_534, "largest": 999_999_937}


def test_a_failing_computation_says_how_it_failed(user: Account) -> None:
    job = user.job(user.submit("refuse", reason="out of cheese"), wait=10)
    assert job["state"] == "failed"
    assert job["error"] == {"type": "ValueError", "message": "out of cheese"}
    assert job["result"] is None


def test_a_computation_that_stumbles_is_tried_again(user: Account, gate: Gate) -> None:
    job = user.job(user.submit("stumble", times=2, **gate.arguments), wait=30)
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", "done", 3)


def test_the_request_id_goes_all_the_way(stack: Stack, wire: Wire, user: Account) -> None:
    results = wire.spy_results()
    tasks = wire.spy("warren.tasks")
    body = {"computation": "add", "arguments": {"x": 1, "y": 2}}
    accepted = user.post("jobs", body, expect=202, headers={"X-Request-ID": "follow-me"})
    assert accepted.headers["X-Request-ID"] == "follow-me"
    job_id = accepted.json()["id"]
    assert user.job(job_id, wait=10)["state"] == "succeeded"

    assert tasks.await_copy(job_id).headers["request_id"] == "follow-me"
    assert b'"request_id":"follow-me"' in results.await_copy(job_id, ".success").body
    [answered] = stack.web.records(request_id="follow-me", event="request answered")
    assert answered["path"] == "/api/v1/jobs"
    [done] = stack.compute.records(request_id="follow-me", event="task done")
    assert done["task_id"] == job_id


def test_a_request_without_an_id_gets_one(stack: Stack) -> None:
    with connect(stack.settings.web_url) as http:
        given = http.get("computations").headers["X-Request-ID"]
    assert stack.web.records(request_id=given, event="request answered")
