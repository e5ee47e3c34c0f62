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


# Where the first of the devices that VMs may have is, as manifests name it; the next ones stand on the buses after it. Root ports
# stand at 00:1a.0 and on, where boards put nothing of their own; each has its own bus and isolation group.
PORT_SLOT = 0x1a
DEVICES_MAX = 4


def device(n, function=0):
    """How manifests name function @function of the n-th of @devices of arm64() and x86_64()."""
    return f"0000:{n + 1:02x}:00.{function}"


# What QEMU calls a device, and what stands behind it where @devices does not say; these may have options behind the name:
# "virtio-blk,drive=mine", or a file for a drive: "virtio-blk,file=disk.img", "virtio-blk,file=disk.img,snapshot=on". The networks of all of them are one.
# "virtio-console,socket=PATH" has the other end of its console at this Unix socket.
MODERN = "iommu_platform=on,disable-legacy=on"
DEVICES = {
    "virtio-rng": (f"virtio-rng-pci,{MODERN}", None),
    "virtio-blk": (f"virtio-blk-pci,{MODERN}", "drive"),
    "virtio-net": (f"virtio-net-pci,{MODERN}", "netdev"),
    "virtio-net-alone": (f"virtio-net-pci,{MODERN}", "sink"),  # what it sends goes to this host's discard service
    "virtio-console": (f"virtio-serial-pci,{MODERN}", None),
    "igb": ("igb", "netdev"),
    "nvme": ("nvme,serial=bulkhead", "drive"),
}
BEHIND = {"drive": ["-drive", "if=none,id={},driver=null-co,size=64M"], "netdev": ["-netdev", "hubport,id={},hubid=0"],
          "sink": ["-netdev", "socket,id={},udp=127.0.0.1:9,localaddr=127.0.0.1:0"]}


def _function(name, place, *more):
    """QEMU's arguments for one function of behind_ports()."""
    kind, *options = name.split(",")
    device, property = DEVICES.get(kind, (kind, None))
    args, behind = [], "behind" + place.replace("=", "-").replace(",", "-").replace(".", "-")
    sockets = [option for option in options if option.startswith("socket=")]
    ports = []
    for socket in sockets:
        options = [f"id=serial-{behind}", *(option for option in options if option != socket)]
        args += ["-chardev", f"socket,id={behind},path={socket.partition('=')[2]},server=on,wait=off"]
        ports += ["-device", f"virtconsole,bus=serial-{behind}.0,chardev={behind}"]
    if property and not any(option.startswith(property + "=") for option in options):
        files = [option for option in options if option.startswith(("file=", "snapshot="))]
        options = [option for option in options if option not in files]
        args = [arg.format(behind) for arg in BEHIND[property]]
        args = ["-drive", f"if=none,id={behind},format=raw,{','.join(files)}"] if files else args
        options.append(f"{'netdev' if property == 'sink' else property}={behind}")
    return [*args, "-device", ",".join([device, place, *more, *options]), *ports]


def behind_ports(names):
    """
    QEMU's arguments for @names, each of DEVICES and with further options behind commas, each behind a root port of its own.
    A multi-function one has a "+" between its functions: "virtio-rng+virtio-rng".
    """
    args = []
    if len(names) > DEVICES_MAX:
        raise ValueError(f"{len(names)} devices; at most {DEVICES_MAX}")
    for n, name in enumerate(names):
        args += ["-device", f"pcie-root-port,id=rp{n},chassis={n + 1},slot={n + 1},addr={PORT_SLOT + n:x}.0"]
        functions = name.split("+")
        for number, function in reversed(list(enumerate(functions))):  # function 0 last: it completes the device
            multi = ["multifunction=on"] if len(functions) > 1 and number == 0 else []
            args += _function(function, f"bus=rp{n},addr=0.{number}", *multi)
    return args


# Where the first of those is that stand on the root bus itself.
INTEGRATED_SLOT = 0x12


def integrated(n):
    """How manifests name the n-th of @integrated of x86_64()."""
    return f"0000:00:{INTEGRATED_SLOT + n:02x}.0"


def _integrated(names):
    return [arg for n, name in enumerate(names) for arg in _function(name, f"addr={INTEGRATED_SLOT + n:x}.0")]


def _shared(board, path):
    return {**board, "memory_backend": "ram"} if path else board


def arm64(cpu="max", cores=4, memory="2G", random=True, card=None, devices=(), low_bars=False, **board):
    """
    QEMU's command line for an Arm server with @devices for its VMs; @low_bars: firmware places all BARs below 4 GiB;
    @board are further options of its machine "virt".
    """
    low = {"highmem_mmio": False} if low_bars else {}
    options = {"virtualization": True, "gic_version": 3, "iommu": "smmuv3", **low, **_shared(board, card)}
    return [QEMU["arm64"], "-M", ",".join(["virt", *_options(options)]), *_accelerated("arm64", cpu),
            "-smp", str(cores), "-m", memory, "-bios", firmware("AAVMF_CODE.fd"), *QUICK, *_card(card, memory), *behind_ports(devices),
            *(["-device", "virtio-rng-pci"] if random else [])]  # the firmware's random generator: guests' seeds come from it


# Before all other devices: QEMU gives only what comes later to it.
IOMMUS = {None: [], "intel": ["-device", "intel-iommu,intremap=on,eim=on"], "amd": ["-device", "amd-iommu,intremap=on,xtsup=on,pt=off"]}


# The firmware has room above 4 GiB where it believes the processor's number of address bits: not one of 40 of just anybody.
LOW_BARS = ["-fw_cfg", "name=opt/ovmf/X-PciMmio64Mb,string=0"]
LOW_BARS_VENDOR = ",vendor=HygonGenuine"


def x86_64(cpu="max", cores=4, memory="2G", random=True, card=None, devices=(), integrated=(), iommu="intel", low_bars=False, **board):
    """
    QEMU's command line for an AMD server with @devices for its VMs, more of them @integrated in the root complex, and one of
    IOMMUS, as @iommu says; @low_bars: firmware places all BARs below 4 GiB; @board are further options of its machine "q35".
    """
    options = {"smm": False, **_shared(board, card)}
    if iommu and cpu == "best" and kvm("x86_64"):
        options["kernel_irqchip"] = "split"  # the kernel's IOAPIC knows nothing of remapping
    # No flash for the firmware's variables: it keeps them in RAM then, and does not spend half of its time on writing flash.
    flash = f"if=pflash,format=raw,unit=0,file={firmware('OVMF_CODE.fd')},readonly=on"
    return [QEMU["x86_64"], "-M", ",".join(["q35", *_options(options)]), *_accelerated("x86_64", cpu + LOW_BARS_VENDOR if low_bars else cpu),
            *(LOW_BARS if low_bars else []), "-smp", str(cores), "-m", memory, "-vga", "none", *IOMMUS[iommu],
            "-drive", flash, *QUICK, *_card(card, memory), *behind_ports(devices),
            *_integrated(integrated), *(["-device", "virtio-rng-pci"] if random else [])]


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
