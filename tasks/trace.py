"""From a checkpoint to TorchScript, by tracing only."""

from __future__ import annotations

from artifacts.release import PreprocessSpec
from settings.sections import NetworkSettings
from tasks.records import Checkpoint, Traced
from tasks.step import step
from tasks.workspace import Workspace


@step(version=1, slot="trace")
def trace(checkpoint: Checkpoint, network: NetworkSettings, preprocess: PreprocessSpec, workspace: Workspace) -> Traced:
    """Load the weights into the network and trace it at batch 1.

    Args:
        checkpoint: The weights.
        network: Which network they belong to.
        preprocess: The input size.
        workspace: Where bytes are kept.

    Returns:
        The TorchScript module.

    Raises:
        CheckpointError: The file is no checkpoint of this network.
        TraceError: The trace holds control flow or does not compute what the network computes.
    """
    # Imported late: torch takes seconds, and where nothing changed no step of it runs.
    from tasks.network import build_network
    from tasks.network.checkpoint import load_checkpoint
    from tasks.network.tracing import traced_bytes

    module = build_network(network.name, width=network.width, num_classes=network.num_classes)
    info = load_checkpoint(workspace.content.verified(checkpoint.blob), module)
    shape = (1, 3, preprocess.height, preprocess.width)
    data, difference, output_shape = traced_bytes(module, shape)
    return Traced(
        module=workspace.content.put_bytes(data),
        input_shape=shape,
        output_shape=output_shape,
        parameters=info.parameters,
        max_difference=difference,
    )
