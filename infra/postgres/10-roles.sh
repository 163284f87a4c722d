#!/bin/sh
# For each process that keeps state a role, and a database that only this role may connect to.
# The postgres image runs this once, when it makes the cluster.
set -e
for role in warren mailer; do
  # psql reads the password itself: an argument would show in the list of processes.
  ROLE=$role psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set role `echo "$ROLE"`
\set password `cat "/run/secrets/postgres_${ROLE}_password"`
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
done
