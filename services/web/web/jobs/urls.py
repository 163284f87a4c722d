"""Addresses of jobs and computations."""

from rest_framework.routers import SimpleRouter

from web.jobs.views import ComputationViewSet, JobViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=True)
router.register("jobs", JobViewSet, basename="job")
router.register("computations", ComputationViewSet, basename="computation")
urlpatterns = router.urls
