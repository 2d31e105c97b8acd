"""Pods that are started as one group and run one engine: what their controller sets, put in."""

from kvplan.deploy.pods import substituted
from kvplan.deploy.workload import Workload
from kvplan.launch.words import Given


def put_in_group(workload: Workload, group: str, size: Given | None, variables: dict[str, Given]) -> Workload:
    """Make a pod's container a part of a group.

    Args:
        workload: changed and returned.
        group: a name that the parts share.
        size: pods of the group; None: one.
        variables: that the controller gives its containers, where their value is known.

    """
    workload.group = group
    workload.gpus.nodes = size
    for name, value in workload.environment.items():
        if "$" in str(value.value) and value.words:
            whole = substituted(value.words[-1:], variables)
            workload.environment[name] = Given(whole[0].text, (*value.words[:-1], *whole))
    workload.environment = {**variables, **workload.environment}
    if workload.command is not None:
        workload.command = substituted(workload.command, variables)
    workload.args = substituted(workload.args, variables)
    return workload


def is_one(size: Given | None) -> bool:
    """Whether a group has a single pod."""
    return size is None or size.value in (0, 1)
