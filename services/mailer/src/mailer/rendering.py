"""Renders mails from templates: one folder of ``templates/`` for each of ``contracts.mails``."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import (
    Environment,
    PackageLoader,
    StrictUndefined,
    Template,
    UndefinedError,
    select_autoescape,
)

from contracts.errors import MalformedMessageError


@dataclass(frozen=True)
class Rendered:
    """A mail's subject, which is one line, and its two bodies."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class MailTemplate:
    """The three files of one mail, compiled."""

    subject: Template
    text: Template
    html: Template


def _load() -> dict[str, MailTemplate]:
    environment = Environment(
        loader=PackageLoader("mailer"),
        undefined=StrictUndefined,  # a missing value is an error, not a gap in somebody's mail
        autoescape=select_autoescape(("html",)),
    )
    names = [entry.name for entry in files("mailer").joinpath("templates").iterdir()]
    compiled = environment.get_template
    return {
        name: MailTemplate(
            compiled(f"{name}/subject.txt"),
            compiled(f"{name}/body.txt"),
            compiled(f"{name}/body.html"),
        )
        for name in names
        if not name.startswith("layout.")
    }


TEMPLATES = _load()  # at start-up, so that a broken template stops a deployment and not a mail


def render(name: str, context: Mapping[str, str]) -> Rendered:
    """Fill in the template ``name``.

    Raises MalformedMessageError if the template is unknown, a variable is missing, or the subject
    has more than one line. These are mistakes of the sender, which a repetition would not mend. The
    text names the template and the variable, but no value.
    """
    template = TEMPLATES.get(name)
    if template is None:
        raise MalformedMessageError(f"there is no mail template {name!r}")
    try:
        rendered = Rendered(
            template.subject.render(context).strip(),
            template.text.render(context).strip() + "\n",
            template.html.render(context).strip() + "\n",
        )
    except UndefinedError as error:
        raise MalformedMessageError(f"mail template {name!r}: {error}") from error
    if not rendered.subject.isprintable():  # a line break would begin another header
        raise MalformedMessageError(f"mail template {name!r}: its subject is not one line of text")
    return rendered
