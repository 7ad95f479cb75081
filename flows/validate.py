"""Validate a release on a device: python -m flows.validate [REF] [--device NAME] [--profile NAME|PATH.toml] [--list]"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports: they take seconds, which a mistake in the settings should not wait for.
    from artifacts.standard_output import ended
    from flows.validate_command import run_validate

    sys.exit(ended(run_validate, sys.argv[1:]))

from prefect import flow

from artifacts.evidence import summary
from flows.preflight import workspace_of
from flows.run_log import join_page
from flows.turns import turn_on
from settings.devices import nearest_device
from settings.model import Settings
from tasks.devices.records import Request, Validated
from tasks.devices.steps import attach, attached, deliver, keep, look, run_validation, take_release
from tasks.errors import DeviceUnknown
from tasks.gather import gather


@flow(name="validate", validate_parameters=True)
def validate(request: Request, settings: Settings) -> Validated:
    """Run models of a release on a device, and attach what was found to the release unless that is not wanted.

    Args:
        request: What, and where.
        settings: The devices, and the images that accuracy is measured on.

    Returns:
        What was found.

    Raises:
        DeviceUnknown: The settings have no such device.
        DeviceError: The device cannot do it.
        ArtifactError: The release cannot be read, or nothing can be attached to it.
    """
    join_page()
    if request.device not in settings.devices:
        raise DeviceUnknown(nearest_device(request.device, settings.devices))
    workspace, evaluation = workspace_of(settings), settings.evaluation
    name, device = request.device, settings.devices[request.device]

    limit = evaluation.limit if request.limit is None else request.limit
    images = gather(request.source or evaluation.source, "evaluation", limit, 0, workspace)
    with turn_on(name):
        machine = look(name, device, workspace)
        release = take_release(request, device, machine, workspace)
        place = deliver(name, device, release, images, workspace)
        found, files = [], []
        for chosen in release.chosen:
            found.append(run_validation(name, device, release, chosen, images, place, workspace))
            files.append(keep(found[-1], workspace))
            if request.evidence:
                attach(found[-1], request.reference)
    return Validated(
        digest=release.digest,
        version=release.record.version,
        found=tuple(found),
        files=tuple(files),
        evidence=summary(attached(request.reference, release.digest)),
    )
