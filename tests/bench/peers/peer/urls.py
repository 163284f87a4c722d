"""The API of every peer."""

from django.urls import path

from peer.views import JobsView, JobView

urlpatterns = [
    path("jobs", JobsView.as_view()),
    path("jobs/<str:task_id>", JobView.as_view()),
]
