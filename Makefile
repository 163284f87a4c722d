# The commands that people type. Each sets up what it needs, below .local/ and .venv/, without root
# and without Docker.

UV_VERSION := 0.13.9
UV := .local/uv-$(UV_VERSION)/uv
# Relative, like every path here: the checkout's own path may hold spaces or quotes, and never gets
# into a shell.
BIN := .venv/bin
ENVIRONMENT := .venv/.complete
LOCAL := $(BIN)/python -m local
# Each test run makes a folder here, with the logs of its processes. The last two older ones stay.
TEST_FILES := .local/tests
PYTEST = mkdir -p $(TEST_FILES) && PYTEST_DEBUG_TEMPROOT=$(TEST_FILES) $(BIN)/pytest

export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE ?= 1
# Also trust the certificate authorities that this machine trusts: a company's proxy may have one.
export UV_SYSTEM_CERTS := 1
# uv must not use the active environment of another project.
unexport VIRTUAL_ENV
# Without compiled modules each process would start later, and each run of the tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage test-checkout test-compose faults soak bench secrets lint format env up down scale restart status logs mail admin doctor run service lock clean

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: $(ENVIRONMENT) ## Start everything, show the main job by real HTTP, stop everything
	@$(LOCAL) demo

test: $(ENVIRONMENT) ## Run every test, several at a time; ARGS='-k outbox' goes to pytest
	@$(PYTEST) -n 5 $(ARGS)

coverage: $(ENVIRONMENT) ## Run every test, then show the share of lines and branches they run, and the lowest
	@export COVERAGE_ROOT="$$PWD"; $(PYTEST) -n 5 --cov --cov-report= $(ARGS); status=$$?; \
		$(BIN)/coverage report --sort=cover --skip-empty | sed -n '1,12p;/^TOTAL/p'; exit $$status

test-checkout: $(ENVIRONMENT) ## Install copies of this checkout, and try every target in them
	@$(PYTEST) infra/local/tests -m checkout -n 2 $(ARGS)

test-compose: $(ENVIRONMENT) ## Build the images and test them; needs a Docker engine
	@$(PYTEST) tests/compose -m compose $(ARGS)

faults: $(ENVIRONMENT) ## Break everything under load, and count what is lost: ARGS='--only RabbitMQ'
	@$(BIN)/python -m tests.faults $(ARGS)

soak: $(ENVIRONMENT) ## Run under load for an hour, in which nothing may grow: ARGS='--minutes 10'
	@$(BIN)/python -m tests.faults.soak $(ARGS)

bench: $(ENVIRONMENT) ## Measure jobs here and on other queues, in ten minutes: ARGS=--quick for two
	@UV_PROJECT_ENVIRONMENT=../../../.local/bench-venv $(UV) sync --quiet --locked --project tests/bench/peers
	@$(BIN)/python -m tests.bench $(ARGS)

secrets: ## Make the containers' passwords, once, and check .env; ROTATE=name replaces one of them
	@python3 infra/secrets/create_secrets.py secrets infra/rabbitmq/definitions.json $(ROTATE)
	@umask 077; grep -E '^(WARREN_ENV|COMPOSE_)' .env.example | while IFS= read -r line; do \
		grep -qs "^$${line%%=*}=" .env || { \
			test -z "$$(tail -c 1 .env 2>/dev/null)" || echo; echo "$$line"; } >> .env; done
	@PYTHONPATH=infra/local/src python3 -m local.env_file

lint: $(ENVIRONMENT) ## Check format, style and types
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@MYPYPATH="$$(echo packages/*/src services/*/src infra/local/src | tr ' ' ':')" $(BIN)/mypy
	@PYTHONPATH=services/web $(BIN)/lint-imports --no-logo
	@cd services/web && ../../$(BIN)/mypy . ../../tests/extra/staged_shop ../../examples/notes # on its own: Django's types need Django's settings

format: $(ENVIRONMENT) ## Format the code, and mend what can be mended
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format

env: $(ENVIRONMENT) ## Write .env (ports, passwords), if there is none, and check it
	@$(LOCAL) env

up: $(ENVIRONMENT) ## Start everything and stay; Ctrl-C stops it
	@$(LOCAL) up

down: $(ENVIRONMENT) ## Stop what `make up` started, from another terminal
	@$(LOCAL) down

scale: $(ENVIRONMENT) ## Run more or fewer workers under `make up`: make scale compute=3
	@$(LOCAL) scale $(MAKEOVERRIDES)

restart: $(ENVIRONMENT) ## Restart processes under `make up`, with new code: make restart compute
	@$(LOCAL) restart $(WORDS) $(ARGS)

status: $(ENVIRONMENT) ## Say what runs
	@$(LOCAL) status

logs: $(ENVIRONMENT) ## Follow the logs of all, or of some: make logs compute mailer.1
	@$(LOCAL) logs $(WORDS) $(ARGS)

mail: $(ENVIRONMENT) ## Show the newest mail, once it has come: make mail ada@example.org
	@$(LOCAL) mail $(WORDS) $(ARGS)

admin: $(ENVIRONMENT) ## Make an account for the admin, under `make up`
	@$(LOCAL) run python services/web/manage.py createsuperuser

doctor: $(ENVIRONMENT) ## Say what is wrong under `make up`, and what to do; ARGS=--json for scripts
	@$(LOCAL) run python services/web/manage.py doctor $(ARGS)

run: $(ENVIRONMENT) ## Run a command with the processes' settings, under `make up`: ARGS='python -m mailer'
	@$(LOCAL) run $(ARGS)

service: $(ENVIRONMENT) ## Make a worker of your own, with one task: NAME=texts
	@$(LOCAL) service "$(NAME)"
	@$(BIN)/ruff format --quiet packages/contracts
	@$(BIN)/python -m contracts.schemas
	@$(BIN)/python -m contracts.permissions
	@$(UV) --quiet lock
	@echo 'It is among the processes of `make up` now; docs/adding-a-service.md says more.'

lock: $(UV) ## Lock the newest dependencies that pyproject.toml allows
	@$(UV) lock --upgrade

clean: ## Remove everything that was made here, also data and mails, but not .env
	@test ! -e $(ENVIRONMENT) || $(LOCAL) clean
	@rm -rf .venv .local

$(UV): infra/local/bootstrap.sh
	@infra/local/bootstrap.sh $(UV_VERSION)

# Made again only when one of these files has changed, so that every other call starts at once.
$(ENVIRONMENT): $(UV) uv.lock pyproject.toml $(wildcard */pyproject.toml */*/pyproject.toml)
	@infra/local/install.sh $(UV)
	@touch $@

# The words after these targets are their arguments. This stands last, so that no other target runs
# for such a word.
ifneq ($(filter restart logs mail,$(firstword $(MAKECMDGOALS))),)
WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(WORDS)
$(eval $(WORDS): ;@:)
endif
