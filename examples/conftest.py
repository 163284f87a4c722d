"""The examples are tested as web is, with them among its apps."""

from services.web.conftest import (  # noqa: F401
    _cheap_passwords,
    _no_connection_left_open,
    _no_database_unless_asked_for,
    _webs_application,
    django_db_modify_db_settings,
)
