# SPDX-License-Identifier: Apache-2.0
"""What the documents show is what the tools do."""
import os
import re
import subprocess

import matrix
from machine import ROOT

BHMANIFEST = os.path.join(ROOT, "build/host/bhmanifest")
MACHINE = "tests/machines/virt-4.dts"


def text(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def run(*arguments, good=True):
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == good, done.stderr
    return done.stdout if good else done.stderr


def test_the_manual_s_manifest_is_accepted(tmp_path):
    examples = re.findall(r"```\n(/dts-v1/;.*?)```", text("docs/manifest.md"), re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "example.dts").write_text(example)
        run(BHMANIFEST, "lint", str(tmp_path / "example.dts"))


def test_readme_s_command_draws_readme_s_picture(tmp_path):
    command = re.search(r"^(build/host/bhmanifest plan .*) --svg partitions.svg$", text("README.md"), re.MULTILINE)
    run(*command.group(1).split(), "--svg", str(tmp_path / "partitions.svg"))
    assert (tmp_path / "partitions.svg").read_text() == text("docs/pictures/partitions.svg")


def test_readme_names_what_there_is():
    for link in re.findall(r"\]\(([^)#]+)\)", text("README.md")):
        assert os.path.exists(os.path.join(ROOT, link)), link
    help_text = run("make", "help")
    for target in re.findall(r"\bmake ([a-z-]+)", text("README.md")):
        assert re.search(rf"^\s+{target}\s", help_text, re.MULTILINE), target


def test_behaviour_is_what_is_tested():
    assert text("docs/behaviour.md") == matrix.text(), "`make matrix` writes it anew"


def test_compiled_manifest_is_the_same_manifest(tmp_path):
    """compile writes what show reads, and what show prints compiles to the same again."""
    blob = str(tmp_path / "demo.dtb")
    run(BHMANIFEST, "compile", "tools/demo/demo.dts", "-o", blob)
    shown = run(BHMANIFEST, "show", blob)
    (tmp_path / "shown.dts").write_text(shown)
    assert run(BHMANIFEST, "show", str(tmp_path / "shown.dts")) == shown


def test_plan_in_words():
    plan = run(BHMANIFEST, "plan", "tools/demo/demo.dts", "--machine", MACHINE)
    assert "VM 1 web: 2 cores (1,2), 512 MiB" in plan
    assert "VM 2 db: 1 core (3), 256 MiB" in plan


def test_refusal_is_a_sentence_and_a_status(tmp_path):
    bad = text("tools/demo/demo.dts").replace("cores = <3>", "cores = <9>")
    (tmp_path / "bad.dts").write_text(bad)
    said = run(BHMANIFEST, "lint", str(tmp_path / "bad.dts"), "--machine", MACHINE, good=False)
    assert "/vms/db: cores: core 9 does not exist; this machine has cores 0 to 3" in said


def test_wrong_usage_is_status_2():
    for arguments in ([], ["frob"], ["plan", "tools/demo/demo.dts"], ["lint"]):
        done = subprocess.run([BHMANIFEST, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2, arguments
        assert done.stderr
