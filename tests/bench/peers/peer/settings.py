"""Settings that all peers share, and the apps of each."""

import os
from urllib.parse import unquote, urlsplit

PEER = os.environ["PEER"]
BROKER_URL = os.environ["BROKER_URL"]
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "peer.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

APPS_OF = {
    "celery": ["django_celery_results"],
    "celery_safe": ["django_celery_results"],
    "procrastinate": ["procrastinate.contrib.django"],
    "django_tasks": ["django_tasks", "django_tasks_db"],
    "dramatiq": [],
}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "peer",
    *APPS_OF[PEER],
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

_url = urlsplit(os.environ["DATABASE_URL"])
# Only web has threads enough for a pool; a worker keeps the one connection that it needs.
_IN_WEB = {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"min_size": 1, "max_size": 10}}}
_IN_A_WORKER = {"CONN_MAX_AGE": None}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(_url.path.lstrip("/")),
        "USER": unquote(_url.username or ""),
        "PASSWORD": unquote(_url.password or ""),
        "HOST": _url.hostname,
        "PORT": str(_url.port),
        **(_IN_WEB if os.environ.get("IN_WEB") else _IN_A_WORKER),
    }
}

_TOKENS = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
_NOBODY = {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None}
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    **(_TOKENS if os.environ.get("WITH_TOKENS") else _NOBODY),
}
SIMPLE_JWT = {"CHECK_REVOKE_TOKEN": True}  # what Warren's tokens do, too

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ["SMTP_PORT"])
