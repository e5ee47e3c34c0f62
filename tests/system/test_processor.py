# SPDX-License-Identifier: Apache-2.0
"""x86 processors that lack something: one sentence, and back to the firmware."""
import pytest

from conftest import PLATFORMS
from machine import friendly, manifest

# What a processor lacks -> the sentence. That firmware switched it off, or locked it, no emulator can show.
LACKS = {
    "svm-max": {
        "max,-svm": r"virtualization \(SVM or VMX\), or firmware hides it",
        "max,-npt": r"nested page tables \(NPT\)",
        "max,-x2apic": r"x2APIC, or firmware hides it",
        "max,-nx": r"no-execute pages \(NX\), or firmware hides them",
    },
    "vmx": {
        "corei7_skylake_x, exclude_features=vmx": r"virtualization \(SVM or VMX\), or firmware hides it",
        "corei7_skylake_x, exclude_features=x2apic": r"x2APIC, or firmware hides it",
        "corei5_lynnfield_750, add_features=x2apic": r"unrestricted guests",
        "core2_penryn_t9600, add_features=x2apic": r"EPT \(nested page tables\)",
    },
}


def lacking(name):
    platform = PLATFORMS[name]
    return [platform.with_name(f"{name}-{number}", options={**platform.options, "cpu": cpu})
            for number, cpu in enumerate(LACKS[name], 1)]


@pytest.mark.platforms(*(p for name in LACKS for p in lacking(name)))
def test_processor_lacks_something(boot, platform):
    machine = boot(manifest({"one": friendly(1, "do=hello")}))
    what = LACKS["vmx" if platform.backend.name == "vmx" else "svm-max"][platform.options["cpu"]]
    machine.wait(rf"^bulkhead: the processor('s VMX)? lacks {what}\n")
    assert "start 1/7" not in machine.text and "cores up" not in machine.text
