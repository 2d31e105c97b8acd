"""Ray: Serve's LLM configurations, RayService with such a configuration in a text, RayCluster and RayJob that run an engine."""

from collections.abc import Iterator
from itertools import pairwise

from kvplan.deploy.file import File
from kvplan.deploy.gpu_resources import count_of
from kvplan.deploy.keys import flags_of, flat
from kvplan.deploy.overlay import mapping_of
from kvplan.deploy.pods import (
    Stream,
    inner_documents,
    pod_workloads,
    read_environment,
    resources,
    stream_of,
    title,
)
from kvplan.deploy.ray_cluster import cluster_gpus
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Gpus, Workload, given, word

_ENGINES = {"": "vllm", "vllm": "vllm", "vllmengine": "vllm", "sglang": "sglang"}


def read(file: File) -> Iterator[Workload]:
    """Yield what Ray Serve's configurations and Ray's resources start."""
    stream = stream_of(file.documents)
    for document in file.documents:
        root = document.root
        found = list(_configuration(root, "ray-serve", "", Gpus(), stream))
        for resource in resources(root):
            kind = resource.get("kind").string
            if kind == "RayService":
                found += _service(resource, stream)
            elif kind in ("RayCluster", "RayJob", "RayClusterFleet", "RayClusterReplicaSet"):
                found += _cluster(resource, stream)
        for workload in found:
            workload.templated = workload.templated or document.templated
            yield workload


def _configuration(root: Node, format_: str, name: str, gpus: Gpus, stream: Stream) -> Iterator[Workload]:
    """Yield the engines of a Serve configuration, or of a file that is one model's."""
    if root.get("model_loading_config").kind == "map":
        yield _model(root, format_, name, gpus, stream)
    for application in root.get("applications").each():
        arguments = application.get("args")
        label = ", ".join(part for part in (name, _named("application", application.get("name"))) if part)
        found = [(each, "") for each in arguments.get("llm_configs").each()]
        found += [
            (arguments.get(key), part)
            for key, part in (("llm_config", ""), ("prefill_config", ", prefill"), ("decode_config", ", decode"))
        ]
        models = [(each, part) for each, part in found if each.get("model_loading_config").kind == "map"]
        for each, part in models:
            yield _model(each, format_, label + part, gpus, stream)
        if not models:
            yield from _own_code(application, format_, label, gpus)


def _named(what: str, name: Node) -> str:
    return f"{what} {name.string}" if name.string else what


def _model(config: Node, format_: str, name: str, gpus: Gpus, stream: Stream) -> Workload:
    loading, scaling = config.get("model_loading_config"), config.get("deployment_config")
    source = loading.get("model_source")
    address = source.get("bucket_uri") if source.kind == "map" else source
    served = loading.get("model_id").string
    accelerator = given(config.get("accelerator_type"))
    arguments = config.get("engine_kwargs")
    own = Gpus(count=gpus.count, types=(accelerator,) if accelerator is not None else gpus.types, nodes=gpus.nodes)
    variables = config.get("runtime_env", "env_vars")
    scaled = scaling.get("autoscaling_config").first("min_replicas", "initial_replicas")
    return Workload(
        format=format_,
        name=", ".join(part for part in (name, f"model {served}" if served else "") if part),
        place=config.place,
        words=flat(flags_of(arguments)),
        engine=_ENGINES.get(config.get("llm_engine").string.lower(), config.get("llm_engine").string.lower()),
        model=model_at(address) or given(loading.get("model_id")),
        environment=read_environment(mapping_of(config, env=variables), stream),
        gpus=own,
        replicas=given(scaled or scaling.get("num_replicas")),
    )


def _own_code(application: Node, format_: str, name: str, gpus: Gpus) -> Iterator[Workload]:
    """Yield an application whose code starts vLLM and reads its variables, as far as these tell."""
    environment = application.get("runtime_env")
    texts = [application.get("import_path"), *environment.get("pip").each(), environment.get("working_dir")]
    texts += [each.get("name") for each in application.get("deployments").each()]
    for each in application.get("deployments").each():
        arguments = each.get("user_config").first("engine_args", "engine_kwargs", "engine_config")
        if arguments.get("model") and arguments.kind == "map":
            yield Workload(
                format=format_,
                name=name,
                place=application.place,
                words=flat(flags_of(arguments)),
                engine="vllm",
                gpus=gpus if gpus.count is not None else _of_actor(each),
            )
            return
    own = next((each.get("runtime_env", "env_vars") for each in application.get("deployments").each()), NOTHING)
    variables = environment.get("env_vars") or own
    model = given(variables.first("MODEL_ID", "MODEL_NAME"))
    if not any("vllm" in each.string.lower() for each in texts):
        return
    yield Workload(
        format=format_,
        name=name,
        place=application.place,
        words=(),
        engine="vllm",
        model=model,
        environment=listed(variables),
        gpus=gpus if gpus.count is not None else next(map(_of_actor, application.get("deployments").each()), gpus),
        half="the application's own code decides what of its variables reaches vLLM",
    )


def _of_actor(deployment: Node) -> Gpus:
    """Return the GPUs that an actor takes, where they are whole ones."""
    return Gpus(count=count_of(deployment.get("ray_actor_options", "num_gpus")))


def _service(resource: Node, stream: Stream) -> Iterator[Workload]:
    """Yield the engines of a RayService, on the GPUs of its cluster's workers."""
    spec, name = resource.get("spec"), title(resource)
    cluster = spec.first("rayClusterConfig", "rayClusterSpec")
    gpus = cluster_gpus(cluster)
    image = word(_image(cluster))
    for document in inner_documents(spec.get("serveConfigV2")):
        for workload in _configuration(document.root, "ray-service", name, gpus, stream):
            workload.image = image
            _spread(workload)
            yield workload
    yield from _pods(cluster, name, "ray-service", stream, gpus)


def _spread(workload: Workload) -> None:
    """Take away the other machines where one has GPUs enough: Ray starts an engine on as few as it can."""
    count, needed = workload.gpus.count, 1
    texts = [each.text for each in workload.words or ()]
    for flag, value in pairwise(texts):
        if flag in ("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size") and value.isdecimal():
            needed *= int(value[:6])
    if count is None or not isinstance(count.value, int) or needed <= count.value:
        workload.gpus.nodes = None


def _image(cluster: Node) -> Node:
    groups = [*cluster.get("workerGroupSpecs").each(), cluster.get("headGroupSpec")]
    containers = [each for group in groups for each in group.get("template", "spec", "containers").each()]
    return next((each.get("image") for each in containers if each.get("image")), NOTHING)


def _cluster(resource: Node, stream: Stream) -> Iterator[Workload]:
    """Yield the containers of a cluster, of which one may start an engine on all of it, and the command of a job."""
    spec, kind, name = resource.get("spec"), resource.get("kind").string, title(resource)
    holders = {"RayCluster": spec, "RayJob": spec.get("rayClusterSpec")}
    cluster = holders.get(kind, spec.get("template", "spec"))
    gpus = cluster_gpus(cluster)
    format_ = "aibrix" if kind in ("RayClusterFleet", "RayClusterReplicaSet") else "ray-cluster"
    yield from _pods(cluster, name, format_, stream, gpus)
    entry = spec.get("entrypoint")
    if kind == "RayJob" and entry.string:
        yield Workload(
            format=format_,
            name=f"{name}, entrypoint",
            place=entry.place,
            image=word(_image(cluster)),
            script=entry.text,
            gpus=gpus,
        )


def _pods(cluster: Node, name: str, format_: str, stream: Stream, gpus: Gpus) -> Iterator[Workload]:
    """Yield the containers of a cluster's pods: an engine that one of them starts is spread over all."""
    groups = [(cluster.get("headGroupSpec"), "head")]
    groups += [(each, _named("worker", each.get("groupName"))) for each in cluster.get("workerGroupSpecs").each()]
    for group, label in groups:
        pod = group.get("template")
        for workload in pod_workloads(
            pod.get("spec"),
            format=format_,
            name=f"{name}, {label}",
            stream=stream,
            labels=pod.get("metadata", "labels"),
        ):
            if workload.command is None and not workload.args:
                continue  # KubeRay has it run `ray start`, whatever its image would start
            workload.group = name
            workload.gpus = Gpus(
                count=workload.gpus.count or gpus.count,
                types=workload.gpus.types or gpus.types,
                nodes=gpus.nodes,
                partition=workload.gpus.partition,
            )
            yield workload
