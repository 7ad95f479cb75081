"""The flows that a Prefect server starts on request or by a schedule: a form in, the same work as a command line.

The settings are loaded where the work is done, so that what a form leaves empty comes from that machine's profile and
environment. What fails on purpose fails the run with one paragraph; a traceback stays for what was not foreseen.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.engine import ending_children, records_in
from flows.forms import BuildForm, CleanForm, Form, ValidateForm, WatchForm, settings_of
from flows.preflight import check_request, workspace_of
from flows.run_log import join_page
from flows.terminal import TOLD
from flows.turns import make_limit
from settings.devices import nearest_device
from settings.model import Settings
from tasks.discretion import discreet
from tasks.errors import DeviceUnknown
from tasks.housekeeping.plan import told

log = logging.getLogger(__name__)


@flow(name="build", validate_parameters=True)
def build(form: BuildForm = BuildForm()) -> Any:  # noqa: B008 - frozen
    """Turn weights into validated bmodels and publish them, or say why not."""

    def work(settings: Settings) -> Any:
        from flows.investigate import investigate
        from flows.outcome import draft, release
        from tasks.publish import CHANNEL

        findings = investigate(settings)
        return release(draft(findings), findings, CHANNEL if form.move_latest else None)

    return _carried_out("build", form, work)


@flow(name="watch", validate_parameters=True)
def watch(form: WatchForm = WatchForm()) -> Any:  # noqa: B008 - frozen
    """Look for a newer compiler; where there is one, rebuild with it and publish if nothing got worse."""

    def work(settings: Settings) -> Any:
        from flows.watch import look_and_rebuild

        return look_and_rebuild(settings, version=form.compiler, dry_run=form.dry_run)

    return _carried_out("watch", form, work)


@flow(name="validate", validate_parameters=True)
def validate(form: ValidateForm = ValidateForm()) -> Any:  # noqa: B008 - frozen
    """Run models of a release on a device, and attach what was found to the release."""

    def work(settings: Settings) -> Any:
        from flows.validate import validate as validation

        if form.device not in settings.devices:
            raise DeviceUnknown(nearest_device(form.device, settings.devices))
        request = form.request(settings)
        check_request(request, settings)
        make_limit(form.device)
        done = validation.fn(request, settings)
        return done.model_dump(mode="json", include={"digest", "version", "files", "evidence"})

    return _carried_out("validation", form, work)


@flow(name="clean", validate_parameters=True)
def clean(form: CleanForm = CleanForm()) -> Any:  # noqa: B008 - frozen
    """Remove what no release, no channel and no recent run needs any more, and say what that was."""

    def work(settings: Settings) -> State[Any]:
        from flows.cleaning import clean_up, look

        log.info("%s", told(look(settings, days=form.older_than)))
        if not form.remove:
            return Completed(message="only told")
        done = clean_up(settings, days=form.older_than)
        log.info("%s", done.told())
        if done.removed.left:
            return Failed(message=done.told())
        return Completed(message=done.told(), name="Skipped" if done.busy and not done.removed.items else None)

    # It wants the store for itself, and stores no results there.
    return _carried_out("cleaning", form, work, in_store=False)


def _carried_out(what: str, form: Form, work: Callable[[Settings], Any], *, in_store: bool = True) -> State[Any] | Any:
    join_page()
    try:
        settings = settings_of(form, os.environ)
        log.info("settings of this %s:\n%s", what, settings.describe())
        with records_in(workspace_of(settings)) if in_store else nullcontext(), ending_children(), discreet():
            return work(settings)
    except TOLD as error:
        log.error("The %s failed. %s", what, error)
        return Failed(message=f"The {what} failed. {error}")
