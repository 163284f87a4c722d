# What a person types. Everything is set up on the way, below .local/ and .venv/; no root, no Docker.

UV_VERSION := 0.13.9
UV := .local/uv-$(UV_VERSION)/uv
# Relative, as every path here: whatever the checkout's own path holds, no shell gets to see it.
BIN := .venv/bin
ENVIRONMENT := .venv/.complete
LOCAL := $(BIN)/python -m local
# A folder for each run, with the logs of all that it started; of older ones the last two stay.
TEST_FILES := .local/tests
PYTEST = mkdir -p $(TEST_FILES) && PYTEST_DEBUG_TEMPROOT=$(TEST_FILES) $(BIN)/pytest

export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := 1
# Also trust the certificate authorities that this machine trusts: a company's proxy has its own.
export UV_SYSTEM_CERTS := 1
# Another project's active environment is not ours.
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage test-compose faults soak secrets lint format env up down scale restart status logs mail admin doctor run lock clean

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: $(ENVIRONMENT) ## Start everything, show the main job by real HTTP, stop everything
	@$(LOCAL) demo

test: $(ENVIRONMENT) ## Run every test, several at a time; ARGS='-k outbox' goes to pytest
	@$(PYTEST) -n 5 $(ARGS)

coverage: $(ENVIRONMENT) ## The same, then the share of lines and branches that tests run, and the lowest
	@$(PYTEST) -n 5 --cov --cov-report= $(ARGS); status=$$?; \
		$(BIN)/coverage report --sort=cover --skip-empty | sed -n '1,12p;/^TOTAL/p'; exit $$status

test-compose: $(ENVIRONMENT) ## Build the images and test them; needs a Docker engine
	@$(PYTEST) tests/compose -m compose $(ARGS)

faults: $(ENVIRONMENT) ## Break everything under load, and count what is lost: ARGS='--only RabbitMQ'
	@$(BIN)/python -m tests.faults $(ARGS)

soak: $(ENVIRONMENT) ## An hour of load: nothing may grow; ARGS='--minutes 10'
	@$(BIN)/python -m tests.faults.soak $(ARGS)

secrets: ## Make the containers' passwords, once; ROTATE=name replaces one of them
	@python3 infra/secrets/create_secrets.py secrets infra/rabbitmq/definitions.json $(ROTATE)
	@umask 077; grep -E '^(WARREN_ENV|COMPOSE_)' .env.example | while IFS= read -r line; do \
		grep -qs "^$${line%%=*}=" .env || { \
			test -z "$$(tail -c 1 .env 2>/dev/null)" || echo; echo "$$line"; } >> .env; done

lint: $(ENVIRONMENT) ## Check format, style and types
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
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

run: $(ENVIRONMENT) ## Run a command as Warren's processes run, under `make up`: ARGS='python -m mailer'
	@$(LOCAL) run $(ARGS)

lock: $(UV) ## Lock the newest dependencies that pyproject.toml allows
	@$(UV) lock --upgrade

clean: ## Remove everything that was made here but .env; data and mails too
	@test ! -e $(ENVIRONMENT) || $(LOCAL) clean
	@rm -rf .venv .local

$(UV): infra/local/bootstrap.sh
	@infra/local/bootstrap.sh $(UV_VERSION)

# Made again only when what it is made from has changed, so that every other call starts at once.
$(ENVIRONMENT): $(UV) uv.lock pyproject.toml $(wildcard */pyproject.toml */*/pyproject.toml)
	@infra/local/install.sh $(UV)
	@touch $@

# What follows these targets are words for them. This stands last: no other target may run for one.
ifneq ($(filter restart logs mail,$(firstword $(MAKECMDGOALS))),)
WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(WORDS)
$(eval $(WORDS): ;@:)
endif
