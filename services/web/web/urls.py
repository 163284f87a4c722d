"""Addresses of web."""

from importlib.util import find_spec

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.routers import APIRootView

from web.accounts import pages
from web.ops import views
from web.ops.documentation import DescriptionView

admin.autodiscover()
api = [
    path("", include("web.accounts.urls")),
    path("", include("web.mail.urls")),
    path("", include("web.jobs.urls")),
    path("", include("web.messaging.letters.urls")),
    *(
        path("", include(f"{app}.urls"))
        for app in settings.EXTRA_APPS
        if find_spec(f"{app}.urls") is not None
    ),
]
# `index` and `to_slash` serve addresses that a person may type. To a POST they answer 405.
index = APIRootView.as_view(
    api_root_dict={
        "registration": "registration",
        "token": "token",
        "me": "me",
        "computations": "computation-list",
        "jobs": "job-list",
        "mails": "mail-list",
        "documentation": "docs",
        "description": "schema",
    },
    permission_classes=[AllowAny],
    authentication_classes=[],
)
to_slash = RedirectView.as_view(url="/%(address)s/", http_method_names=["get", "head"])
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="docs")),
    re_path("^(?P<address>api/v1|api/docs|api/schema|admin)$", to_slash),
    path("api/v1/", index),
    path("api/v1/", include(api)),
    path("api/schema/", DescriptionView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(), name="docs"),
    path("verify", pages.VerificationPage.as_view(), name="verification-page"),
    path("verify/resend", pages.ResendPage.as_view(), name="resend-page"),
    path("password", pages.PasswordPage.as_view(), name="password-page"),
    path("password/reset", pages.PasswordResetPage.as_view(), name="password-reset-page"),
    path("problems", views.problem_types, name="problem-types"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("staff/<slug:page>", views.door, name="door"),
    path("admin/", admin.site.urls),
]
handler400 = "web.problems.handlers.handler400"
handler403 = "web.problems.handlers.handler403"
handler404 = "web.problems.handlers.handler404"
handler500 = "web.problems.handlers.handler500"
