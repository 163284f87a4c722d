"""Django's settings. What differs between installations comes from the environment."""

import logging
import secrets
from datetime import timedelta
from pathlib import Path

from contracts import logging as warren_logging
from contracts.reporting import report_interval
from contracts.settings import PRODUCTION, Environment
from contracts.worker import broker_url
from web.database import connection_settings
from web.rates import EXAMPLE as RATE_EXAMPLE
from web.rates import Rate

BASE_DIR = Path(__file__).parent

env = Environment()
IN_PRODUCTION = env.stage == PRODUCTION


def read_rate(name: str, default: Rate) -> Rate:
    """Read how often something may be done."""
    return env.parsed(name, Rate.parse, example=RATE_EXAMPLE, placeholder=default, default=default)


DEBUG = env.flag("DJANGO_DEBUG", default=False, in_production=False)
# Only what serves people is given these two, and sees to it (gunicorn.conf.py).
NO_KEY = secrets.token_urlsafe(50)  # what it signs is void to everybody else
SECRET_KEY = env.secret("DJANGO_SECRET_KEY", min_length=50, example="50 characters", default=NO_KEY)
JWT_SIGNING_KEY = env.secret("JWT_SIGNING_KEY", min_length=32, example="32 bytes", default=NO_KEY)
ALLOWED_HOSTS = env.items(
    "ALLOWED_HOSTS", example="warren.example.org", default="localhost,127.0.0.1"
)
PUBLIC_URL = env.url("PUBLIC_URL", schemes=("http", "https"), example="https://warren.example.org")
BROKER_URL = broker_url(env)
DATABASE_URL = env.url(
    "DATABASE_URL",
    schemes=("postgresql", "postgres"),
    example="postgresql://warren:password@localhost:5432/warren",
)
DATABASE_POOL_SIZE = env.integer("DATABASE_POOL_SIZE", default=10, minimum=1)
# Seconds after which the server gives up on a statement, and we a little later on the server.
DATABASE_STATEMENT_TIMEOUT = env.seconds("DATABASE_STATEMENT_TIMEOUT", default=10)
LOG_FORMAT = env.choice("LOG_FORMAT", options=warren_logging.FORMATS, default="json")
LOG_LEVEL = env.choice("LOG_LEVEL", options=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO")
LIVENESS_FILE = env.text("LIVENESS_FILE", example="/run/warren/relay", default="")

# A mail that cannot be delivered now is tried again for so long, at growing intervals (seconds).
MAIL_RETRY_FIRST = env.seconds("MAIL_RETRY_FIRST", default=15)
MAIL_RETRY_LONGEST = env.seconds("MAIL_RETRY_LONGEST", default=3600)
MAIL_RETRY_FOR = env.seconds("MAIL_RETRY_FOR", default=24 * 3600)
# The same for a computation that fails in a way that may pass.
JOB_RETRY_FIRST = env.seconds("JOB_RETRY_FIRST", default=5)
JOB_RETRY_LONGEST = env.seconds("JOB_RETRY_LONGEST", default=600)
JOB_RETRY_FOR = env.seconds("JOB_RETRY_FOR", default=3600)
# How many jobs of one user, and of all, may be queued or running; 0 is no limit. What may pile up
# here has to fit into the database, the queue, and the patience of those who wait.
JOBS_UNFINISHED_PER_USER = env.integer("JOBS_UNFINISHED_PER_USER", default=1_000)
JOBS_UNFINISHED = env.integer("JOBS_UNFINISHED", default=100_000)
# How many requests of one process may wait for their job (?wait=) at a time.
JOB_WAITERS = env.integer("JOB_WAITERS", default=24)
# KiB of a job's arguments, and of its result: both lie in the database, the broker and in memory.
# The proxy takes bodies of up to 4 MiB.
JOB_SIZE_LIMIT = env.integer("JOB_SIZE_LIMIT", default=256, minimum=16, maximum=4096)
# Seconds after which a run of web's own tasks is told to end, and is ended, unless the task says
# otherwise; the broker leaves a message with its worker for two hours.
TASK_SOFT_TIME_LIMIT = env.integer("TASK_SOFT_TIME_LIMIT", default=600, minimum=1, maximum=6600)
TASK_TIME_LIMIT = env.integer("TASK_TIME_LIMIT", default=660, minimum=1, maximum=6600)
# Runs after which a process of their workers is replaced: what libraries leak goes with it.
TASK_RUNS_PER_PROCESS = env.integer("TASK_RUNS_PER_PROCESS", default=1_000, minimum=1)
# Seconds after which a relay that claimed a message counts as dead.
OUTBOX_LEASE = env.seconds("OUTBOX_LEASE", default=20)
# Seconds between two looks of the reconciler, and for which a task has to be nowhere until it is
# published again. Between looks nobody sees that the reconciler lives; and what has just been given
# to a worker is in none of its reports until the next.
RECONCILE_INTERVAL = env.seconds("RECONCILE_INTERVAL", default=5, maximum=10)
RECONCILE_AFTER = env.seconds("RECONCILE_AFTER", default=12, minimum=2 * report_interval(env))
# Seconds by which tasks published later have to be ahead of one, for it to be lost although its
# queue is not empty; and after how many times of being published again it fails.
RECONCILE_OVERTAKEN = env.seconds("RECONCILE_OVERTAKEN", default=600)
RECONCILE_LIMIT = env.integer("RECONCILE_LIMIT", default=3)
OUTBOX_BATCH = env.integer("OUTBOX_BATCH", default=200, minimum=1)
# Seconds after which a message that is due counts as late: the doctor and /readyz tell of it.
OUTBOX_LATE = env.seconds("OUTBOX_LATE", default=60)
COLLECTOR_BATCH = env.integer("COLLECTOR_BATCH", default=500, minimum=1)
# How many proxies that append to X-Forwarded-For stand before web: the client's address, by which
# requests are counted, is taken from there. Too high a number lets clients forge it.
TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", default=0)
# Requests of one client address. In development everybody has the same one.
IN_DEVELOPMENT = Rate(600, seconds=60)
THROTTLE_REGISTRATION = read_rate(
    "THROTTLE_REGISTRATION", Rate(10, seconds=600) if IN_PRODUCTION else IN_DEVELOPMENT
)
THROTTLE_VERIFICATION = read_rate(
    "THROTTLE_VERIFICATION", Rate(30, seconds=60) if IN_PRODUCTION else IN_DEVELOPMENT
)
THROTTLE_SIGN_IN = read_rate(
    "THROTTLE_SIGN_IN", Rate(30, seconds=60) if IN_PRODUCTION else IN_DEVELOPMENT
)
# Submissions of one user, each of which counts once for each 16 KiB of its body.
THROTTLE_SUBMISSION = read_rate(
    "THROTTLE_SUBMISSION", Rate(10_000 if IN_PRODUCTION else 1_000_000, seconds=3600)
)
# Failed sign-ins to one account: from one client address, and from all that are new to it.
THROTTLE_SIGN_IN_FAILURES = read_rate("THROTTLE_SIGN_IN_FAILURES", Rate(20, seconds=600))
THROTTLE_SIGN_IN_FAILURES_ADDRESS = read_rate(
    "THROTTLE_SIGN_IN_FAILURES_ADDRESS", Rate(500, seconds=600)
)
# Verification mails to one address.
VERIFICATION_MAIL_RATE = read_rate("VERIFICATION_MAIL_RATE", Rate(2, seconds=60))
VERIFICATION_MAIL_DAILY_RATE = read_rate("VERIFICATION_MAIL_DAILY_RATE", Rate(20, seconds=86_400))
# Days for which what has ended is kept; 0 is for ever. Dead letters count once they are dealt with.
KEEP_JOBS = env.integer("KEEP_JOBS", default=90)
KEEP_MAILS = env.integer("KEEP_MAILS", default=90)
KEEP_DEAD_LETTERS = env.integer("KEEP_DEAD_LETTERS", default=90)
KEEP_TASKS = env.integer("KEEP_TASKS", default=30)
KEEP_AUDIT = env.integer("KEEP_AUDIT", default=365)
# Apps of one's own, by their Python paths: where they are found, PYTHONPATH says.
EXTRA_APPS = [app for app in env.items("EXTRA_APPS", example="shop", default="") if app]
env.check()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
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
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_AGE = 10 * 3600  # seconds: an operator's working day

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
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

# Django's own Tasks API, as a second face of web's tasks.
TASKS = {"default": {"BACKEND": "web.tasks.django_backend.OutboxBackend"}}

LOGGING_CONFIG = None  # structlog's configuration stands for Django's
warren_logging.configure("web", log_format=LOG_FORMAT, level=LOG_LEVEL)
# RequestIdMiddleware logs each answer; Django need not repeat those that are the client's fault.
logging.getLogger("django.request").setLevel(logging.ERROR)
