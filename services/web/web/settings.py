"""Django's settings. Values that differ between installations come from the environment."""

import logging
import secrets
from datetime import timedelta
from pathlib import Path

from contracts.bundles import MOST_MEMBERS
from runtime import logging as warren_logging
from runtime import settings as common
from runtime.environment import PRODUCTION, Environment
from runtime.rates import EXAMPLE as RATE_EXAMPLE
from runtime.rates import Rate
from web.cors import origins
from web.database import connection_settings

BASE_DIR = Path(__file__).parent

env = Environment()
IN_PRODUCTION = env.stage == PRODUCTION


def read_rate(name: str, default: Rate, meaning: str) -> Rate:
    """Read how often something may be done."""
    return env.parsed(
        name,
        Rate.parse,
        example=RATE_EXAMPLE,
        placeholder=default,
        default=default,
        meaning=meaning,
    )


def read_days(name: str, default: int, of: str) -> int:
    """Read for how many days something is kept."""
    return env.integer(name, default=default, meaning=f"days for which {of} are kept; 0: for ever")


DEBUG = env.flag(
    "DJANGO_DEBUG", default=False, in_production=False, meaning="tracebacks in the browser"
)
# Only processes whose signatures others check need the keys: gunicorn.conf.py requires both, the
# command `work` the first. Elsewhere a random key serves.
NO_KEY = secrets.token_urlsafe(50)  # no other process accepts its signatures
SECRET_KEY = env.secret(
    "DJANGO_SECRET_KEY",
    min_length=50,
    example="50 characters",
    default=NO_KEY,
    meaning="signs sessions and verification keys; required by gunicorn and `tasks`",
)
JWT_SIGNING_KEY = env.secret(
    "JWT_SIGNING_KEY",
    min_length=32,
    example="32 bytes",
    default=NO_KEY,
    meaning="signs access tokens; required by gunicorn",
)
ALLOWED_HOSTS = env.items(
    "ALLOWED_HOSTS",
    example="warren.example.org",
    default="localhost,127.0.0.1",
    meaning="host names under which web answers",
)
CORS_ALLOWED_ORIGINS: list[str] = env.parsed(
    "CORS_ALLOWED_ORIGINS",
    origins,
    example="https://app.example.org",
    placeholder=[],
    default=[],
    default_means="none",
    meaning="origins of pages, separated by commas, whose scripts may read the answers of the API",
)
PUBLIC_URL = env.url(
    "PUBLIC_URL",
    schemes=("http", "https"),
    example="https://warren.example.org",
    meaning="where clients reach web; links in mails begin with it",
)
BROKER_URL = common.broker_url(env)
DATABASE_URL = env.url(
    "DATABASE_URL",
    schemes=("postgresql", "postgres"),
    example="postgresql://warren:password@localhost:5432/warren",
    meaning="web's database",
)
DATABASE_POOL_SIZE = env.integer(
    "DATABASE_POOL_SIZE", default=10, minimum=1, meaning="connections of one process"
)
# A little later web closes the connection itself (web.postgresql.connection).
DATABASE_STATEMENT_TIMEOUT = env.seconds(
    "DATABASE_STATEMENT_TIMEOUT",
    default=10,
    meaning="seconds until PostgreSQL gives up on a statement; raise it for a long migration",
)
LOG_FORMAT = common.log_format(env)
LOG_LEVEL = common.log_level(env)
LIVENESS_FILE = common.liveness_file(env)

MAIL_RETRY_FIRST = env.seconds(
    "MAIL_RETRY_FIRST",
    default=15,
    meaning="seconds until a mail that could not be delivered is tried again; then they grow",
)
MAIL_RETRY_LONGEST = env.seconds(
    "MAIL_RETRY_LONGEST", default=3600, meaning="seconds between two attempts, at the longest"
)
MAIL_RETRY_FOR = env.seconds(
    "MAIL_RETRY_FOR", default=24 * 3600, meaning="seconds after which the mail has failed"
)
JOB_RETRY_FIRST = env.seconds(
    "JOB_RETRY_FIRST",
    default=5,
    meaning="seconds until a job or task that failed in a way that may pass is tried again; then "
    "they grow",
)
JOB_RETRY_LONGEST = env.seconds(
    "JOB_RETRY_LONGEST", default=600, meaning="seconds between two attempts, at the longest"
)
JOB_RETRY_FOR = env.seconds(
    "JOB_RETRY_FOR", default=3600, meaning="seconds after which the job or task has failed"
)
# Unfinished jobs have to fit into the database and the queue, and their users wait for them.
JOBS_UNFINISHED_PER_USER = env.integer(
    "JOBS_UNFINISHED_PER_USER",
    default=1_000,
    meaning="jobs of one user that may be queued or running; 0: no limit",
)
JOBS_UNFINISHED = env.integer(
    "JOBS_UNFINISHED", default=100_000, meaning="the same for all users together"
)
JOB_WAITERS = env.integer(
    "JOB_WAITERS",
    default=24,
    meaning="requests of one process that may wait for a job (`?wait=`) at a time; of one user a "
    "quarter of them",
)
JOB_SIZE_LIMIT = common.job_size_limit(env)
# The maximum is below two hours: then the broker takes the message from its worker
# (consumer_timeout).
TASK_SOFT_TIME_LIMIT = env.integer(
    "TASK_SOFT_TIME_LIMIT",
    default=600,
    minimum=1,
    maximum=6600,
    meaning="seconds after which a run of web's own tasks is told to end, unless its task says "
    "otherwise",
)
TASK_TIME_LIMIT = env.integer(
    "TASK_TIME_LIMIT",
    default=660,
    minimum=1,
    maximum=6600,
    meaning="seconds after which it is ended",
)
TASK_RUNS_PER_PROCESS = env.integer(
    "TASK_RUNS_PER_PROCESS",
    default=1_000,
    minimum=1,
    meaning="runs after which a process of the pool of `tasks` is replaced: libraries leak",
)
OUTBOX_LEASE = env.seconds(
    "OUTBOX_LEASE",
    default=20,
    meaning="seconds after which a relay that claimed a message counts as dead",
)
# There is a maximum, because the reconciler touches its liveness file only once for each look.
RECONCILE_INTERVAL = env.seconds(
    "RECONCILE_INTERVAL",
    default=5,
    maximum=10,
    meaning="seconds between two looks at what may have got lost",
)
# A task that a worker has just taken is in no report until the next one.
RECONCILE_AFTER = env.seconds(
    "RECONCILE_AFTER",
    default=12,
    minimum=2 * common.report_interval(env),
    meaning="seconds for which a task has to be nowhere until it is published again, at least "
    "twice `REPORT_INTERVAL`",
)
RECONCILE_OVERTAKEN = env.seconds(
    "RECONCILE_OVERTAKEN",
    default=600,
    meaning="seconds by which tasks published later have to be ahead of one, for it to be lost "
    "although its queue is not empty",
)
RECONCILE_LIMIT = env.integer(
    "RECONCILE_LIMIT",
    default=3,
    meaning="times that a lost task is published again before it fails",
)
OUTBOX_BATCH = env.integer(
    "OUTBOX_BATCH", default=200, minimum=1, meaning="messages that a relay claims at a time"
)
BUNDLE_MOST = env.integer(
    "BUNDLE_MOST",
    default=MOST_MEMBERS,
    minimum=1,
    maximum=MOST_MEMBERS,
    meaning="small jobs that are sent in one message; 1 sends each alone",
)
OUTBOX_LATE = env.seconds(
    "OUTBOX_LATE",
    default=60,
    meaning="seconds after which a message that is due counts as late: the doctor calls it a "
    "problem, `/readyz` `degraded`",
)
COLLECTOR_BATCH = env.integer(
    "COLLECTOR_BATCH",
    default=500,
    minimum=1,
    meaning="messages that the collector applies at a time",
)
# Requests are counted by the client's address, which stands so many places from this header's end.
TRUSTED_PROXIES = env.integer(
    "TRUSTED_PROXIES",
    default=0,
    meaning="proxies before web that append to `X-Forwarded-For`; too high a number lets clients "
    "forge their address",
)
# In development all clients have the same address.
IN_DEVELOPMENT = Rate(600, seconds=60)
THROTTLE_REGISTRATION = read_rate(
    "THROTTLE_REGISTRATION",
    Rate(10, seconds=600) if IN_PRODUCTION else IN_DEVELOPMENT,
    "registrations and resends of one client network (an IPv4 address, a /64 of IPv6); in "
    "development `600/1m`, like the next two",
)
THROTTLE_VERIFICATION = read_rate(
    "THROTTLE_VERIFICATION",
    Rate(30, seconds=60) if IN_PRODUCTION else IN_DEVELOPMENT,
    "keys tried by one client network",
)
THROTTLE_SIGN_IN = read_rate(
    "THROTTLE_SIGN_IN",
    Rate(30, seconds=60) if IN_PRODUCTION else IN_DEVELOPMENT,
    "sign-ins of one client network",
)
THROTTLE_SUBMISSION = read_rate(
    "THROTTLE_SUBMISSION",
    Rate(10_000 if IN_PRODUCTION else 1_000_000, seconds=3600),
    "submissions of one user, of which each counts once for each 16 KiB of its body, and a batch "
    "at least once for each job; in development `1000000/1h`",
)
THROTTLE_SIGN_IN_FAILURES = read_rate(
    "THROTTLE_SIGN_IN_FAILURES",
    Rate(20, seconds=600),
    "failed sign-ins to one account from one client network",
)
THROTTLE_SIGN_IN_FAILURES_ADDRESS = read_rate(
    "THROTTLE_SIGN_IN_FAILURES_ADDRESS",
    Rate(500, seconds=600),
    "failed sign-ins to one account from all networks that are new to it",
)
VERIFICATION_MAIL_RATE = read_rate(
    "VERIFICATION_MAIL_RATE",
    Rate(2, seconds=60),
    "mails to one address that somebody unknown asks for, from one client network",
)
VERIFICATION_MAIL_DAILY_RATE = read_rate(
    "VERIFICATION_MAIL_DAILY_RATE", Rate(20, seconds=86_400), "the same for a day"
)
VERIFICATION_MAIL_ADDRESS_RATE = read_rate(
    "VERIFICATION_MAIL_ADDRESS_RATE", Rate(100, seconds=86_400), "the same from all networks"
)
KEEP_JOBS = read_days("KEEP_JOBS", 90, "jobs that have ended, and answers to batches,")
KEEP_MAILS = read_days("KEEP_MAILS", 90, "mails that have ended")
KEEP_DEAD_LETTERS = read_days("KEEP_DEAD_LETTERS", 90, "dead letters that are dealt with")
KEEP_TASKS = read_days("KEEP_TASKS", 30, "web's own tasks and groups that have ended")
KEEP_AUDIT = read_days("KEEP_AUDIT", 365, "records of what was done in the admin")
EXTRA_APPS = env.items(
    "EXTRA_APPS",
    example="shop",
    default="",
    meaning="Django apps of your own, separated by commas; `PYTHONPATH` says where they are",
)
env.check()

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",  # urls.py looks for all admin.py
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "corsheaders",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "web.accounts",
    "web.mail",
    "web.jobs",
    "web.messaging",
    "web.tasks",
    "web.ops",
    *EXTRA_APPS,
]
MIDDLEWARE = [
    "web.request_id.RequestIdMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "web.ops.security.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "web.problems.middleware.ProblemMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "web.urls"
WSGI_APPLICATION = "web.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": connection_settings(DATABASE_URL, DATABASE_POOL_SIZE, DATABASE_STATEMENT_TIMEOUT)
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
APPEND_SLASH = False  # a POST without the slash would lose its body in the redirect
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR.parent / "static"
WHITENOISE_USE_FINDERS = True  # works before collectstatic; the image collects at build
DATA_UPLOAD_MAX_MEMORY_SIZE = JOB_SIZE_LIMIT * 1024

HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if HTTPS:  # with this prefix browsers take no cookie that a neighbouring host has set
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
# Scripts of other origins send tokens, never cookies.
CORS_URLS_REGEX = "^/api/"
CORS_ALLOW_HEADERS = ["authorization", "content-type", "idempotency-key", "x-request-id"]
CORS_EXPOSE_HEADERS = ["location", "retry-after", "x-request-id"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_AGE = 10 * 3600  # seconds: an operator's working day

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_RESET_TIMEOUT = 3600  # seconds
PASSWORD_HASHERS = ["web.accounts.hashing.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCOUNT_ADAPTER = "web.accounts.adapter.OutboxAccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_RATE_LIMITS = False  # web.accounts.limits counts in the database, for all processes
EMAIL_BACKEND = "web.mail.backend.OutboxOnlyBackend"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["web.accounts.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["web.parsing.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "web.openapi.ProblemAutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "web.problems.exception_handler",
    "NUM_PROXIES": TRUSTED_PROXIES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "UPDATE_LAST_LOGIN": False,
    "CHECK_REVOKE_TOKEN": True,  # a change of the password ends all tokens
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Warren",
    "DESCRIPTION": "Submit computations that run in the background, and watch them.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SCHEMA_COERCE_PATH_PK_SUFFIX": True,
    "ENUM_NAME_OVERRIDES": {
        "JobState": "web.jobs.models.Job.State",
        "MailState": "web.mail.models.Email.State",
        "DeadLetterState": "web.messaging.models.DeadLetter.State",
    },
}

# Web's tasks can also be sent by Django's own Tasks API.
TASKS = {"default": {"BACKEND": "web.tasks.django_backend.OutboxBackend"}}

LOGGING_CONFIG = None  # structlog's configuration replaces Django's
warren_logging.configure("web", log_format=LOG_FORMAT, level=LOG_LEVEL)
# RequestIdMiddleware logs each answer. Django's own warnings of answers with 4xx would repeat it.
logging.getLogger("django.request").setLevel(logging.ERROR)
