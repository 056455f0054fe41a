"""The options of a training, as a table."""

from __future__ import annotations

from stemma_client._generated import answers
from stemma_client.tables import Table


class FormTable(Table):
    """A row for each option; `form` is all of it, with the conditions of defaults."""

    def __init__(self, form: answers.Form) -> None:
        self.form = form
        controls = [(section, control) for section in form.sections for control in section.controls]
        super().__init__(
            {
                "option": [control.key for _, control in controls],
                "default": [_default(control) for _, control in controls],
                "range": [_range(control) for _, control in controls],
                "section": [section.label for section, _ in controls],
                "help": [control.help for _, control in controls],
            }
        )


def form_table(form: answers.Form) -> FormTable:
    """The table of a form."""
    return FormTable(form)


def _default(control: answers.Control) -> object:
    """The default where no other option is set; of several, each with its condition."""
    plain = [default.value for default in control.defaults if not default.when]
    return plain[0] if plain else "depends on other options"


def _range(control: answers.Control) -> str:
    if control.choices:
        return ", ".join(choice.value for choice in control.choices)
    if control.items:
        return ", ".join(control.items)
    low, high = control.minimum, control.maximum
    if low is None and high is None:
        return ""
    bounds = f"{'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'}"
    return f"{bounds} {control.unit}".strip()
