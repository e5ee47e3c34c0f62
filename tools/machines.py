# SPDX-License-Identifier: Apache-2.0
"""
How the emulated machines are started: command lines for tools/run and for the tests, without what is on their serial port.

  arm64()    QEMU's virt with EL2, GICv3 and an SMMUv3
  x86_64()   QEMU's q35 with SVM
  bochs()    Bochs' i440fx with VMX; no ACPI, no IOMMU, no virtio
Paths are absolute, so it does not matter where the emulator runs.
"""
import fcntl
import os
import platform

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
DEPS = os.path.join(ROOT, "build/deps")
BOCHS = os.path.join(DEPS, "bochs/bochs")
QEMU = {"arm64": "qemu-system-aarch64", "x86_64": "qemu-system-x86_64"}
# What the firmware takes to be there: it must not wait for a key.
QUICK = ["-nic", "none", "-display", "none", "-no-reboot", "-boot", "menu=on,splash-time=0"]

KVM = "/dev/kvm"
KVM_CHECK_EXTENSION, KVM_CAP_ARM_EL2 = 0xae03, 240


def firmware(name):
    return os.path.join(DEPS, "firmware", name)


def kvm(arch):
    """Whether this host's processor can run the hypervisor itself: KVM, ours to use, with virtualization for its guests."""
    if platform.machine() != {"arm64": "aarch64", "x86_64": "x86_64"}[arch]:
        return False
    try:
        with open(KVM, "r+b", buffering=0) as f:
            if arch == "arm64":
                return fcntl.ioctl(f, KVM_CHECK_EXTENSION, KVM_CAP_ARM_EL2) > 0
    except OSError:
        return False
    for module in ("kvm_intel", "kvm_amd"):
        try:
            with open(f"/sys/module/{module}/parameters/nested", encoding="ascii") as f:
                return f.read().strip() in ("1", "Y")
        except OSError:
            pass
    return False


def _options(options):
    """{"gic_version": 3, "acpi": False} as QEMU writes it"""
    words = {True: "on", False: "off"}
    return [f"{name.replace('_', '-')}={words[v] if isinstance(v, bool) else v}" for name, v in options.items()]


def _accelerated(arch, cpu):
    """QEMU's arguments for the processor; cpu "best" is the host's where that can do it, or else all QEMU has."""
    if cpu == "best" and kvm(arch):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-cpu", "max" if cpu == "best" else cpu]


# Where the card's function is, as manifests name it.
CARD = "0000:00:10.0"


def _card(path, memory):
    """QEMU's arguments for a card whose backend listens at @path, or for several; none without. They reach all memory."""
    if not path:
        return []
    arguments = ["-object", f"memory-backend-memfd,id=ram,size={memory},share=on"]
    for i, one in enumerate([path] if isinstance(path, str) else path):
        arguments += ["-chardev", f"socket,id=card{i},path={one}", "-device", f"vhost-user-vsock-pci,chardev=card{i},addr=1{i}.0"]
    return arguments


def _shared(board, path):
    return {**board, "memory_backend": "ram"} if path else board


def arm64(cpu="max", cores=4, memory="2G", random=True, card=None, **board):
    """QEMU's command line for an Arm server; @board are further options of its machine "virt"."""
    options = {"virtualization": True, "gic_version": 3, "iommu": "smmuv3", **_shared(board, card)}
    return [QEMU["arm64"], "-M", ",".join(["virt", *_options(options)]), *_accelerated("arm64", cpu),
            "-smp", str(cores), "-m", memory, "-bios", firmware("AAVMF_CODE.fd"), *QUICK, *_card(card, memory),
            *(["-device", "virtio-rng-pci"] if random else [])]  # the firmware's random generator: guests' seeds come from it


def x86_64(cpu="max", cores=4, memory="2G", random=True, card=None, **board):
    """QEMU's command line for an AMD server; @board are further options of its machine "q35"."""
    options = {"smm": False, **_shared(board, card)}
    flash = "if=pflash,format=raw,unit={},file={},{}"
    return [QEMU["x86_64"], "-M", ",".join(["q35", *_options(options)]), *_accelerated("x86_64", cpu),
            "-smp", str(cores), "-m", memory, "-vga", "none",
            "-drive", flash.format(0, firmware("OVMF_CODE.fd"), "readonly=on"),
            "-drive", flash.format(1, firmware("OVMF_VARS.fd"), "snapshot=on"), *QUICK, *_card(card, memory),
            *(["-device", "virtio-rng-pci"] if random else [])]


def from_disk(image):
    """QEMU's arguments to boot from a disk, for any machine. x86's QEMU takes an initrd for Linux only, so it needs this."""
    return ["-drive", f"file={image},format=raw,if=none,id=esp,readonly=on", "-device", "virtio-blk-pci,drive=esp,bootindex=0"]


def from_files(loader, blob=None):
    """QEMU's arguments to hand the loader and what it reads over directly; arm64 only."""
    return ["-kernel", loader, *(["-initrd", blob] if blob else [])]


# ips fixes how fast time goes against instructions. The disk is cut in cylinders of 256 KiB.
BOCHSRC = """\
display_library: nogui
cpu: model={cpu}, count={cores}, ips={ips}, reset_on_triple_fault=0
megs: {memory}
romimage: file={rom}
vgaromimage: file={vga}
pci: enabled=1, chipset=i440fx
clock: sync=none
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={disk}, mode=flat, cylinders=0, heads=16, spt=32
boot: disk
com1: enabled=1, mode=term, dev=/dev/tty
log: {folder}/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


def bochs(folder, disk, cores=4, memory=1024, cpu="corei7_skylake_x", ips=100_000_000):
    """
    The command line for Bochs with @memory MiB, its configuration and logs in @folder, booting from the FAT image @disk
    (of a multiple of 256 KiB). COM1 is the terminal that controls the process: start it as leader of a session on a
    pseudo-terminal (pexpect.spawn does, pty.fork too). What Bochs itself says goes to @folder/bochs.out. It does not
    restore the terminal, and leaves a lock beside the disk: see unlock().
    """
    folder, disk = os.path.abspath(folder), os.path.abspath(disk)
    rc = os.path.join(folder, "bochsrc")
    with open(rc, "w", encoding="utf-8") as f:
        f.write(BOCHSRC.format(cpu=cpu, cores=cores, ips=ips, memory=memory, rom=firmware("OVMF.fd"),
                               vga=firmware("vgabios.bin"), disk=disk, folder=folder))
    unlock(disk)
    # Standard input stays the terminal: a pseudo-terminal that nobody has open for a moment has ended.
    return ["/bin/sh", "-c", 'exec "$@" >"$0" 2>&1', os.path.join(folder, "bochs.out"), BOCHS, "-q", "-f", rc]


def unlock(disk):
    """Takes away what a Bochs that was killed left behind."""
    try:
        os.unlink(disk + ".lock")
    except FileNotFoundError:
        pass
