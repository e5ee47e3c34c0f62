# SPDX-License-Identifier: Apache-2.0
"""
Bad input and bad machines: one sentence on the firmware's console, nothing started, back to the firmware; and
bhmanifest, which runs the same code, says the same sentence beforehand.
"""
import hashlib
import os
import re
import struct
import subprocess
import tempfile

import pytest

import machines
from machine import BUILD, DEPS, EL2, ROOT, Scenario, compile_manifest, friendly, manifest, node

BHMANIFEST = os.path.join(ROOT, "build/host/bhmanifest")
GOOD = friendly(1, "do=hello")
SOME = {"one": GOOD}


def blob(source, name):
    """@source as the bytes dtc makes of it."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-") as folder:
        path = os.path.join(folder, f"{name}.dtb")
        compile_manifest(source, path)
        with open(path, "rb") as f:
            return f.read()


def changed(**properties):
    vm = {**GOOD, **{name.replace("_", "-"): v for name, v in properties.items()}}
    return manifest({"one": {name: v for name, v in vm.items() if v is not None}})


def twice(name):
    """Two nodes of one name: dtc would merge them, so one is renamed in the blob."""
    return blob(manifest({name: GOOD, "x" * len(name): friendly(2, "do=hello")}), "twice").replace(
        b"x" * len(name), name.encode())


def endless():
    """A tree whose nodes never end: its structure block is all BEGIN_NODE."""
    data = bytearray(blob(manifest(SOME), "endless"))
    start, size = struct.unpack_from(">I", data, 8)[0], struct.unpack_from(">I", data, 36)[0]
    for at in range(start, start + size - 8, 8):
        data[at:at + 8] = b"\0\0\0\1a\0\0\0"
    return bytes(data)


def huge():
    """A tree of more than the 64 KiB that a manifest may have."""
    return manifest({"one": {**GOOD, "bootargs": ["x" * 1000] * 70}})


def file_of(content):
    """Whole at any time: each of several runs of these tests makes it as it begins (tests/system/run)."""
    path = os.path.join(BUILD, "system", "files", hashlib.sha256(content).hexdigest()[:16])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.{os.getpid()}", "wb") as f:
        f.write(content)
    os.replace(f.name, path)
    return path


def image(text_offset, image_size, flags=0, length=4096, magic=b"ARM\x64"):
    header = struct.pack("<IIQQQQQQ4sI", 0x14000000, 0, text_offset, image_size, flags, 0, 0, 0, magic, 0)
    return header + bytes(length - len(header))


def elf(paddr=0x200000, size=8192, machine=62, entry=None, filesz=None):
    """An executable of one segment."""
    entry = paddr if entry is None else entry
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 4096, paddr, paddr, 4096 if filesz is None else filesz, size, 4096)
    return header + segment + bytes(4096 - 64 - 56) + bytes(4096)


def with_kernel(content):
    return changed(kernel="test.img"), {"test.img": file_of(content)}


def with_file(path):
    return changed(kernel="test.img", memory="128M"), {"test.img": path}


# What is wrong -> (manifest, its files, what the sentence must say). The rest of the sentence is for people.
CASES = {
    "truncated": (blob(manifest(SOME), "truncated")[:-40], {}, r"manifest: .*"),
    "corrupt": (b"\xd0\x0d\xfe\xed" + b"\xff" * 500, {}, r"manifest: .*"),
    "not-a-tree": (b"# just text\n" * 20, {}, r"manifest: .*"),
    "empty": (b"", {}, r"manifest: .*"),
    "huge": (huge(), {}, r"manifest: .*65536.*"),
    "endless": (endless(), {}, r"manifest: .*"),
    "unknown-property": (changed(colour="blue"), {}, r"/vms/one: colour: this property is not known; known are .*"),
    "unknown-node": (manifest({"one": {**GOOD, "disk": {"size": 1}}}), {}, r"/vms/one/disk: .*not known.*"),
    "unknown-host-option": (manifest(SOME, speed=3), {}, r"/host: speed: this property is not known.*"),
    "not-a-manifest": ("/dts-v1/;\n" + node("/", {"compatible": "linux,dummy-virt", "vms": SOME}, 0), {},
                       r"/: compatible: 'linux,dummy-virt'; 'bulkhead,manifest-v1' is allowed"),
    "no-vms": (manifest({}), {}, r"/vms: no VM stands here; 1 to 16 are allowed, "
               r"none only where /host names a card that makes them"),
    "too-many-vms": (manifest({f"vm{i}": friendly(i + 1, "do=hello") for i in range(17)}), {},
                     r"/vms/vm16: this is VM number 17; this build allows 16 VMs"),
    "two-vms-of-one-name": (twice("web"), {}, r"/vms/web: two VMs have this name; .*"),
    "bad-name": (manifest({"Web_1": GOOD}), {}, r"/vms/Web_1: not a name for a VM; .*"),
    "core-taken": (manifest({"one": GOOD, "two": GOOD}), {}, r"/vms/two: cores: core 1 belongs to /vms/one; .*"),
    "core-twice-in-one": (changed(cores=[1, 1]), {}, r"/vms/one: cores: core 1 .*"),
    "management-core-taken": (changed(cores=0), {}, r"/vms/one: cores: core 0 .*"),
    "no-such-core": (changed(cores=4), {}, r"/vms/one: cores: core 4 does not exist; this machine has cores 0 to 3"),
    "core-beyond-this-build": (changed(cores=4000000000), {}, r"/vms/one: cores: core 4000000000 does not exist; .*"),
    "too-few-cores": (changed(cores=None, core_count=4), {}, r"/vms/one: core-count: 4 cores; this machine has 3 .*"),
    "no-such-management-core": (manifest(SOME, management_core=9), {}, r"/host: management-core: core 9 does not .*"),
    "too-much-memory": (changed(memory="8G"), {}, r"/vms/one: memory: 8192 MiB; \d+ MiB are left, .*"),
    "memory-of-all-vms": (manifest({"one": friendly(1, "", memory="300M"), "two": friendly(2, "", memory="300M")}), {},
                          r"/vms/two: memory: 300 MiB; \d+ MiB are left, .*"),
    "overflowing-memory": (changed(memory="18446744073709551615G"), {}, r"/vms/one: memory: .*"),
    "odd-memory": (changed(memory="5M"), {}, r"/vms/one: memory: 5242880 bytes; a multiple of 2M is allowed"),
    "no-memory": (changed(memory=None), {}, r"/vms/one: memory: this property is missing; it is required"),
    "no-cores": (changed(cores=None), {}, r"/vms/one: cores: this property is missing; .*"),
    "image-missing": (changed(kernel="nowhere.img"), {}, r"/vms/one: kernel: 'nowhere.img' is missing or .*"),
    "initrd-missing": (changed(initrd="nowhere.gz"), {}, r"/vms/one: initrd: 'nowhere.gz' is missing or .*"),
    "path-as-file-name": (changed(kernel="../secret"), {}, r"/vms/one: kernel: '../secret' is not a file name; .*"),
    "image-empty": (*with_kernel(b""), r"/vms/one: kernel: 'test.img' is empty"),
    "initrd-oversized": (changed(initrd="big.gz"), {"big.gz": file_of(bytes(5 << 20))},
                         r"/vms/one: memory: 4 MiB; the kernel .* the initrd \(5120 KiB\) do not fit.*"),
    "bootargs-too-long": (changed(bootargs="x" * 1024), {}, r"/vms/one: bootargs: 1024 characters; at most 1023 .*"),
    "device": (changed(devices="0000:01:00.0"), {}, r"/vms/one: devices: '0000:01:00.0' is not there; this machine has \d+ PCI .*"),
    "device-no-address": (changed(devices="01:00.0"), {}, r"/vms/one: devices: '01:00.0' is not a PCI function; .*"),
    "device-twice": (changed(devices=["0000:01:00.0", "0000:01:00.0"]), {}, r"/vms/one: devices: '0000:01:00.0' belongs to /vms/one; .*"),
    "devices-too-many": (changed(devices=[f"0000:{n:02x}:00.0" for n in range(9)]), {},
                         r"/vms/one: devices: more than 8; at most 8 are allowed"),
    "dma-trusted": (changed(dma_trusted=2), {}, r"/vms/one: dma-trusted: 2; 0 to 1 are allowed"),
    "virtual-interrupts": (changed(virtual_interrupts=2), {}, r"/vms/one: virtual-interrupts: 2; 0 to 1 are allowed"),
    "console-interrupt": (manifest(SOME, console_interrupt=5), {}, r"/host: console-interrupt: 5; 32 to 1019 are .*"),
    "restart-limit": (changed(restart_limit=[5000, 1]), {}, r"/vms/one: restart-limit: 5000 restarts .*"),
    "stop-method": (manifest(SOME, stop_method="gently"), {}, r"/host: stop-method: 'gently'; 'auto' or 'sgi' are .*"),
    "boot-protocol": (changed(boot_protocol="grub"), {}, r"/vms/one: boot-protocol: 'grub'; 'linux' or 'pvh' are .*"),
}

# The same for one architecture only.
ARM64_CASES = {
    "image-not-a-kernel": (*with_kernel(b"\x7fELF" + bytes(5000)), r"/vms/one: kernel: 'test.img' is not an arm64 .*"),
    "image-big-endian": (*with_kernel(image(0, 8192, flags=1)), r"/vms/one: kernel: 'test.img' .*"),
    "image-oversized": (*with_kernel(image(0, 1 << 30)), r"/vms/one: memory: 4 MiB; the kernel \('test.img', .*"),
    "image-overflowing": (*with_kernel(image(0, (1 << 64) - 1)), r"/vms/one: memory: 4 MiB; the kernel .*"),
    "image-offset-odd": (*with_kernel(image(0x123, 8192)), r"/vms/one: kernel: 'test.img' wants to stand at .*"),
    "image-offset-far": (*with_kernel(image(1 << 63, 8192)), r"/vms/one: memory: 4 MiB; the kernel .*"),
    "kernel-of-x86": (*with_file(os.path.join(DEPS, "guest-x86/vmlinux")), r"/vms/one: kernel: 'test.img' is an x86 kernel; .*"),
    "boot-protocol-of-x86": (changed(boot_protocol="pvh"), {}, r"/vms/one: boot-protocol: this is for x86 machines; .*"),
}

X86_CASES = {
    "image-not-a-kernel": (*with_kernel(b"MZ" + bytes(5000)), r"/vms/one: kernel: 'test.img' is not an x86 kernel .*"),
    "image-of-32-bits": (*with_kernel(elf(machine=3)), r"/vms/one: kernel: 'test.img' is not an x86 kernel .*"),
    "image-cut-off": (*with_kernel(elf(filesz=1 << 20)), r"/vms/one: kernel: 'test.img' is not an x86 kernel .*"),
    "image-entry-outside": (*with_kernel(elf(entry=0x10)), r"/vms/one: kernel: 'test.img' is not an x86 kernel .*"),
    "image-too-low": (*with_kernel(elf(paddr=0x10000)), r"/vms/one: kernel: 'test.img' .*"),
    "image-odd": (*with_kernel(elf(paddr=0x200123)), r"/vms/one: kernel: 'test.img' .*"),
    "image-oversized": (*with_kernel(elf(size=1 << 30)), r"/vms/one: .*'test.img'.*"),
    "image-far": (*with_kernel(elf(paddr=1 << 62)), r"/vms/one: .*'test.img'.*"),
    "kernel-of-arm64": (*with_file(os.path.join(DEPS, "guest/Image")), r"/vms/one: kernel: 'test.img' is an arm64 .*"),
    "no-pvh-entry": (changed(boot_protocol="pvh"), {}, r"/vms/one: boot-protocol: .*"),
    "stop-method-of-arm64": (manifest(SOME, stop_method="sgi"), {}, r"/host: stop-method: this is for arm64 machines; .*"),
    "virtual-interrupts-of-arm64": (changed(virtual_interrupts=1), {}, r"/vms/one: virtual-interrupts: this is for arm64 machines; .*"),
    "console-interrupt-of-arm64": (manifest(SOME, console_interrupt=40), {},
                                   r"/host: console-interrupt: this is for arm64 machines; .*"),
}


class Case:
    """One row of the tables, with the name that tests have for it."""

    def __init__(self, line, row):
        self.line = line
        self.source, self.files, self.sentence = row


# The parsers are one for all: on x86 only what comes to them, or from them, by another way.
X86_TOO = {"truncated", "empty", "core-taken", "no-such-core", "too-much-memory", "image-missing", "image-empty", "initrd-oversized",
           "device"}


def cases_of(backend):
    rows = CASES | ARM64_CASES if backend is EL2 else {n: CASES[n] for n in X86_TOO} | X86_CASES
    return [Case(name, row) for name, row in sorted(rows.items())]


# To bhmanifest what is no compiled tree is a source.
NO_BLOB = {"not-a-tree", "empty"}


def refused(machine, sentence):
    """The sentence, and then the firmware goes on with the next thing it can boot."""
    match = machine.wait(rf"^bulkhead: ({sentence})\n")
    machine.wait(r"BdsDxe: loading Boot\d+ ", match.end())
    assert "start 1/7" not in machine.text and "cores up" not in machine.text
    return match.group(1)


PC = """/dts-v1/;
/ {
	compatible = "bulkhead,x86-machine";
	#address-cells = <2>;
	#size-cells = <2>;
	cpus {
		#address-cells = <1>;
		#size-cells = <0>;
		cpu@0 { device_type = "cpu"; reg = <0>; };
		cpu@1 { device_type = "cpu"; reg = <1>; };
		cpu@2 { device_type = "cpu"; reg = <2>; };
		cpu@3 { device_type = "cpu"; reg = <3>; };
	};
	memory@100000 { device_type = "memory"; reg = <0 0x100000 0 0x1ff00000>; };
};
"""


@pytest.fixture
def tree(platform, tmp_path):
    """A device tree of the machine on which the loader refuses."""
    path = str(tmp_path / "machine.dtb")
    if platform.backend is not EL2:
        compile_manifest(PC, path)
        return path
    program, board, name, *rest = machines.arm64(memory="512M")
    subprocess.run([program, board, f"{name},dumpdtb={path}", *rest], check=True, capture_output=True)
    return path


def lint(scenario, tree):
    """What bhmanifest says of the same manifest, images and machine."""
    images = scenario.path("images")
    os.makedirs(images)
    for name, path in scenario.files.items():
        os.symlink(path, os.path.join(images, name))
    result = subprocess.run([BHMANIFEST, "lint", scenario.manifest, "--machine", tree, "--images", images],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 1, f"bhmanifest lint finds nothing wrong: {result.stdout}"
    prefix = f"bhmanifest: {scenario.manifest}: "
    assert prefix in result.stderr
    return result.stderr.split(prefix)[1].rstrip("\n")


def without_sizes(sentence):
    """How much memory is left depends on the firmware, which bhmanifest does not have; nor does it see what stands on PCI."""
    return re.sub(r"\d+ (MiB are left|MiB in the largest|PCI functions)", r"N \1", sentence)


# Bochs would take minutes for what is the same code on the same architecture.
BOTH = pytest.mark.platforms("el2-max", "svm-max")
ARM64 = pytest.mark.platforms("el2-max")


@BOTH
@pytest.mark.cases(of=cases_of)
def test_bad_input(boot, tree, case):
    machine = boot(case.source, case.files)
    said = refused(machine, case.sentence)
    if case.line in NO_BLOB:
        assert "dtc cannot compile it" in lint(machine.scenario, tree)
        return
    assert without_sizes(lint(machine.scenario, tree)) == without_sizes(said)


@BOTH
def test_no_manifest(boot):
    refused(boot(None), r"file \\bulkhead\\manifest.dtb is not on the volume, nor is there an initrd blob")


@ARM64
def test_blob_is_no_archive(boot):
    machine = boot(None, blob=file_of(b"garbage" * 1000))
    refused(machine, r"the initrd blob is not a cpio archive \(newc\) at offset 0 of 7000")


@ARM64
def test_blob_is_cut_off(boot, request):
    scenario = Scenario(EL2, request.node.name + "-whole", manifest(SOME))
    with open(scenario.blob(), "r+b") as f:
        f.truncate(5000)
    refused(boot(None, blob=scenario.path("blob.cpio")), r"the initrd blob is not a cpio archive .*")


@ARM64
def test_blob_without_manifest(boot):
    path = EL2.files["friendly"]
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=os.path.basename(path).encode() + b"\n",
                             capture_output=True, cwd=os.path.dirname(path), check=True).stdout
    refused(boot(None, blob=file_of(archive)), r"file manifest.dtb is not in the initrd blob")


# ---- devices ----------------------------------------------------------------------------------------------------

FIRST = machines.device(0)
PORT = f"0000:00:{machines.PORT_SLOT:02x}.0"
SECOND = machines.device(0, 1)
BEHIND = {"flags": "flr", "iommu": [0, 0x100]}  # a function as bhmanifest is told of it


def two_vms(first, second):
    return manifest({"one": friendly(1, "", devices=first), "two": friendly(2, "", devices=second)})


def of_one(name, **facts):
    return {FIRST: {**BEHIND, **facts}}, changed(devices=name)


# What is wrong -> (the rig's devices, the same as bhmanifest is told, the manifest, the sentence).
DEVICE_CASES = {
    "bridge": (["virtio-rng"], {PORT: {"flags": "bridge"}}, changed(devices=PORT),
               f"/vms/one: devices: '{PORT}' is a bridge, and bridges stay with the machine; its group: {PORT}"),
    "host-bridge": ([], {"0000:00:00.0": {"flags": "host"}}, changed(devices="0000:00:00.0"),
                    "/vms/one: devices: '0000:00:00.0' is a part of the machine itself; its group: 0000:00:00.0"),
    "no-reset": (["e1000"], *of_one(FIRST, flags=[]),
                 f"/vms/one: devices: '{FIRST}' cannot be reset by itself (it has no FLR); its group: {FIRST}"),
    "not-there": (["virtio-rng"], {}, changed(devices=SECOND),
                  f"/vms/one: devices: '{SECOND}' is not there; this machine has N PCI functions that can be seen"),
    "group-of-another-vm": (["virtio-rng+virtio-rng"], {FIRST: BEHIND, SECOND: {**BEHIND, "group": FIRST}}, two_vms(FIRST, SECOND),
                            f"/vms/two: devices: '{SECOND}' cannot be kept apart from {FIRST}, a device of /vms/one; "
                            f"its group: {FIRST} {SECOND}"),
    "pf-with-vfs": (["igb"], {FIRST: {**BEHIND, "flags": ["flr", "pf"]}, "0000:01:10.0": {**BEHIND, "pf": FIRST}},
                    two_vms(f"{FIRST}/vf0", FIRST),
                    f"/vms/two: devices: '{FIRST}' has virtual functions that are on, so it stays with the hypervisor; "
                    f"its group: {FIRST}"),
    "vf-twice": (["igb"], {FIRST: {**BEHIND, "flags": ["flr", "pf"]}, "0000:01:10.0": {**BEHIND, "pf": FIRST}},
                 two_vms(f"{FIRST}/vf0", "0000:01:10.0"),
                 "/vms/two: devices: '0000:01:10.0' is a device of /vms/one; its group: 0000:01:10.0"),
}
# What only the loader can know: how many VFs there could be.
VF_CASES = {
    "vf-beyond-the-limit": (["igb"], None, changed(devices=f"{FIRST}/vf8"),
                            f"/vms/one: devices: '{FIRST}/vf8' is not there: that function has 8 virtual functions, from vf0 on"),
    "vf-of-none": (["virtio-rng"], None, changed(devices=f"{FIRST}/vf0"),
                   f"/vms/one: devices: '{FIRST}/vf0' is not there: that function has no virtual functions"),
}


class DeviceCase:
    def __init__(self, line, row):
        self.line = line
        self.devices, self.functions, self.source, self.sentence = row


def device_cases(backend):
    rows = DEVICE_CASES | VF_CASES if backend is EL2 else {n: DEVICE_CASES[n] for n in ("host-bridge", "no-reset")}
    return [DeviceCase(name, row) for name, row in sorted(rows.items())]


def with_functions(tree, functions):
    """The description of a machine in @tree with @functions on PCI."""
    source = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", tree], capture_output=True, text=True, check=True).stdout
    nodes = {f"f{n}": {"address": address, **{k: v for k, v in facts.items() if v != []}}
             for n, (address, facts) in enumerate(functions.items())}
    compile_manifest(source[:source.rindex("};")] + node("functions", nodes, 1) + "\n};\n", tree)
    return tree


@BOTH
@pytest.mark.cases(of=device_cases)
def test_device_refused(boot, tree, platform, case):
    machine = boot(case.source, devices=case.devices)
    said = refused(machine, re.escape(case.sentence).replace("has\\ N\\ PCI", "has\\ \\d+\\ PCI"))
    if case.functions is not None:
        assert without_sizes(lint(machine.scenario, with_functions(tree, case.functions))) == without_sizes(said)


@BOTH
def test_no_iommu(boot, tree, platform):
    """An IOMMU is missing: no device, unless the manifest says that its DMA is trusted; then it is said loudly."""
    sentence = (f"/vms/one: devices: '{FIRST}' has no IOMMU that checks its DMA; only a VM with dma-trusted may have it; "
                f"its group: {FIRST}")
    options = {"iommu": "none" if platform.backend is EL2 else None}
    machine = boot(changed(devices=FIRST), devices=["virtio-rng"], **options)
    refused(machine, re.escape(sentence))
    assert lint(machine.scenario, with_functions(tree, {FIRST: {"flags": "flr"}})) == sentence


# ---- machines ---------------------------------------------------------------------------------------------------

@ARM64
def test_host_not_at_el2(boot):
    refused(boot(manifest(SOME), virtualization=False), r"firmware runs at EL1; a hypervisor needs EL2 .*")


@ARM64
@pytest.mark.parametrize("acpi", [True, False], ids=["acpi", "fdt"])
def test_host_has_gic_v2(boot, acpi):
    refused(boot(manifest(SOME), gic_version=2, acpi=acpi), r"the interrupt controller is a GICv2; GICv3 or later is needed")


@BOTH
def test_host_has_too_little_memory(boot):
    """Enough for the firmware, not for the VM."""
    machine = boot(manifest({"one": friendly(1, "do=hello", memory="120M")}), memory=128)
    refused(machine, r"/vms/one: memory: 120 MiB; \d+ MiB are left, .*")


@BOTH
def test_host_with_one_core(boot):
    refused(boot(manifest(SOME), cores=1), r"/vms/one: cores: core 1 does not exist; .*")
