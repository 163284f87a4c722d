#!/bin/sh
# For each process that keeps state a role, and a database that only this role may connect to.
# The postgres image runs this once, when it makes the cluster; run again, it sets the passwords
# anew (see docs/operations.md).
set -e
for role in warren mailer; do
  # psql reads the password itself: an argument would show in the list of processes.
  ROLE=$role psql --set ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set role `echo "$ROLE"`
\set password `cat "/run/secrets/postgres_${ROLE}_password"`
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') AS missing \gset
\if :missing
CREATE ROLE :"role";
CREATE DATABASE :"role" OWNER :"role";
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
\endif
ALTER ROLE :"role" LOGIN PASSWORD :'password';
SQL
done
