"""Nomad's jobs."""

from format_files import at, only, texts, values, workloads

JOB = """variable "len" { default = 8192 }
job "llm" {
  # a comment { that opens nothing
  group "g" {
    count = 2
    task "vllm" {
      driver = "docker"
      env {
        MODEL = "a/b"
      }
      config {
        image   = "vllm/vllm-openai:v0.8.5"
        command = "--model"
        args    = ["${MODEL}", "--max-model-len", "${var.len}", "--port", "${NOMAD_PORT_http}",]
        shm_size = 1073741824
      }
      resources {
        memory = 16384
        device "nvidia/gpu" {
          count = 2
          constraint {
            attribute = "${device.model}"
            value     = "Tesla T4"
          }
        }
      }
    }
  }
}
"""


def test_a_task():
    """Image, words, variables, devices and memory of a task; Nomad's own variables stay as they are written."""
    found = only("nomad", "llm.nomad.hcl", JOB)
    assert (found.name, found.place.line, found.command) == ("task llm/g/vllm", 6, None)
    assert texts(found.args) == ["--model", "a/b", "--max-model-len", "8192", "--port", "${NOMAD_PORT_http}"]
    assert at(found.args[1]) == ("llm.nomad.hcl", 9, 18, "a/b")
    assert at(found.args[2]) == ("llm.nomad.hcl", 14, 33, "--max-model-len")
    assert at(found.args[3]) == ("llm.nomad.hcl", 1, 28, "8192")
    assert (found.gpus.count.value, found.gpus.types[0].value, found.replicas.value) == (2, "Tesla T4", 2)
    assert (found.memory.value, found.shared_memory.value) == (16 * 2**30, 2**30)
    assert values(found.environment) == {"MODEL": "a/b"}


def test_a_program_without_a_container():
    """Drivers that run programs take the command for the program."""
    text = 'job "j" { group "g" { task "t" { driver = "raw_exec"\nconfig { command = "/bin/vllm"\nargs = ["serve", "a/b"] } } } }'
    found = only("nomad", "a.nomad", text)
    assert (texts(found.command), texts(found.args)) == (["/bin/vllm"], ["serve", "a/b"])


def test_odd_files_are_none():
    """What is not HCL, or no job, yields nothing and does no harm."""
    for text in (
        "",
        "task",
        "job {",
        'job "x" { group { task "t" {} } }',
        'job "x" = [[[[{{{task',
        '"task" "\\',
        "<<EOF\ntask",
    ):
        assert workloads("nomad", "a.nomad", text) == []
    assert workloads("nomad", "a.txt", JOB) == []


def test_a_device_of_the_task():
    """A device that stands beside the resources counts too."""
    text = JOB.replace("memory = 16384", "memory = 16384 }\n").replace("constraint {", "other {")
    assert (
        only("nomad", "llm.nomad", text.replace("      }\n    }\n  }\n}\n", "    }\n  }\n}\n", 1)).gpus.count.value == 2
    )
