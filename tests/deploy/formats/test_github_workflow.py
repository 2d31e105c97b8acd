"""GitHub's workflows: steps, services, expressions."""

from format_files import at, only, texts, values, workloads

from kvplan.launch.text import MASK

PATH = ".github/workflows/ci.yml"


def workflow(steps, head="", job=""):
    on = "on:\n  workflow_dispatch:\n    inputs: {len: {default: '4096'}}\n"
    return f"name: x\n{on}{head}jobs:\n  t:\n{job}    steps:\n{steps}"


def test_steps_are_scripts():
    """Every step that names an engine is a script of its own, at its place; steps of other actions are passed over."""
    text = workflow(
        "    - uses: actions/checkout@v4\n    - name: serve\n      run: |\n        vllm serve a/b --tp 2\n    - run: make\n"
    )
    found = only("github_workflow", PATH, text)
    assert (found.name, found.place.line, found.script.value) == ("job t, step serve", 9, "vllm serve a/b --tp 2\n")
    assert found.script.cut(11, 14).place().line == 11
    assert found.script.cut(11, 14).place().column == 20


def test_variables_of_all_levels():
    """The workflow's, the job's and the step's variables reach the step; expressions among them are put in."""
    text = workflow(
        "    - {env: {C: '${{ env.A }}'}, run: vllm serve $A}\n",
        head="env: {A: a/b, B: 1}\n",
        job="    env: {B: 2, X: '${{ secrets.X }}'}\n",
    )
    own = values(only("github_workflow", PATH, text).environment)
    assert (own["A"], own["B"], own["C"], set(own["X"])) == ("a/b", "2", "a/b", {MASK})


def test_expressions_are_put_in_where_the_file_settles_them():
    """Variables, defaults of inputs and a matrix's only value are put in; all else is masked, and is written as in the file."""
    text = workflow(
        "    - run: vllm serve ${{ env.M }} --len ${{ inputs.len }} --tp ${{ matrix.tp }} --q ${{ matrix.q }}${{ github.sha }}\n",
        head="env: {M: a/b}\n",
        job="    strategy: {matrix: {tp: [2], q: [a, b]}}\n",
    )
    script = only("github_workflow", PATH, text).script
    words = script.value.split()
    assert words[:7] == ["vllm", "serve", "a/b", "--len", "4096", "--tp", "2"]
    assert set(words[8]) == {MASK}
    assert script.cut(script.value.index(MASK)).written() == "${{ matrix.q }}${{ github.sha }}"


def test_containers_and_services():
    """A job's container is its steps' image; services are containers with options of Docker's."""
    text = workflow(
        "    - run: vllm serve a/b\n",
        job="    container: {image: 'vllm/vllm-openai:v0.9.0', options: --gpus 2 --shm-size=1g}\n"
        "    services:\n      llm: {image: 'ollama/ollama:0.5', env: {OLLAMA_CONTEXT_LENGTH: 8192}, options: --gpus all}\n",
    )
    service, step = workloads("github_workflow", PATH, text)
    assert (service.name, service.image.text, service.gpus.count) == ("job t, service llm", "ollama/ollama:0.5", None)
    assert (step.image.text, step.gpus.count.value, step.shared_memory.value) == ("vllm/vllm-openai:v0.9.0", 2, 2**30)
    assert at(step.image)[3] == "vllm/vllm-openai:v0.9.0"
    assert texts(service.args) == []


def test_composite_actions():
    """Steps of an action are read like a job's, with the defaults of its inputs."""
    text = "inputs: {m: {default: a/b}}\nruns:\n  steps:\n  - {shell: bash, run: 'vllm serve ${{ inputs.m }}'}\n"
    assert only("github_workflow", "action.yml", text).script.value == "vllm serve a/b"


def test_other_yaml_is_none():
    """Scripts of other shells, and files of other formats, are not read."""
    assert (
        workloads(
            "github_workflow", PATH, workflow("    - {shell: python, run: 'import vllm'}\n    - 3\n    - run: [vllm]\n")
        )
        == []
    )
    assert workloads("github_workflow", "a.yml", "jobs: {a: {steps: [{run: vllm serve x}]}}\n") == []
    assert workloads("github_workflow", PATH, "name: x\njobs: [1]\n") == []
    assert (
        workloads("github_workflow", PATH, "name: x\njobs: {a: 3, b: {steps: 3, services: 3, env: 3, strategy: 3}}\n")
        == []
    )
