# SPDX-License-Identifier: Apache-2.0
"""The commands that change something: create, start, stop, abort, reset, delete."""
import contextlib
import os
import time

from ctl.client import REFUSED, Failure, Refused, Usage, network, path_of
from ctl.manifest import manifest_vms
from ctl.terminal import Progress, ending_signals
from ctl.words import KIB, note, show_json

UPLOAD_CHUNK = 256 * KIB
ENDING = ("running", "stopping", "scrubbing", "unknown")  # states of a VM that is to stop; the last while nobody can say
LOOK_SECONDS = 0.1  # how often it is looked at
END_SECONDS = 30  # how much longer than its grace period a stop may take: its memory is scrubbed then


def each_vm(session, act):
    """Does @act(machine, name) for each VM of the command line; what is refused does not hold up the others."""
    machine, refused, answers = session.machine(), 0, []
    for name in session.args.vm:
        try:
            answers.append(act(machine, name))
        except Refused as e:
            note(e)
            refused += 1
    if session.json:
        show_json([a for a in answers if a is not None])
    return REFUSED if refused else 0


def cmd_act(session):
    """start, abort, reset"""
    command = session.args.command
    return each_vm(session, lambda machine, name: session.client.ask("POST", path_of(machine, "vms", name, command)))


def wait_for_end(session, machine, name, began, grace):
    """The VM once it does not run any more; its guest was given @grace seconds at @began."""
    progress = Progress(f"{name} may end by itself", grace, lambda done: f"{done:.0f} of {grace:g} s")
    try:
        while (vm := session.client.get(path_of(machine, "vms", name)))["state"] in ENDING:
            spent = time.monotonic() - began
            if vm["wanted"] == "running":
                raise Refused(f"{name} was started again meanwhile")
            if spent > grace + END_SECONDS:
                raise Refused(f"{name} is {vm['state']} still, {spent:.0f} s after it was to stop")
            progress.show(min(spent, grace))
            time.sleep(LOOK_SECONDS)
    finally:
        progress.clear()
    if vm["state"] == "quarantined":
        raise Refused(f"{name} is quarantined: a core did not leave its guest")
    return vm


def cmd_stop(session):
    """With a grace period all VMs have theirs at once."""
    grace, began = session.args.grace, time.monotonic()
    if not grace or session.args.no_wait:
        body = {"grace_ms": round(grace * 1000)} if grace else None
        return each_vm(session, lambda machine, name: session.client.ask("POST", path_of(machine, "vms", name, "stop"), body))
    asked = {}  # name: what it was refused with, or None

    def ask(machine, name):
        try:
            session.client.ask("POST", path_of(machine, "vms", name, "stop"), {"grace_ms": round(grace * 1000)})
            asked[name] = None
        except Refused as e:
            asked[name] = e

    def wait(machine, name):
        if asked[name]:
            raise asked[name]
        return wait_for_end(session, machine, name, began, grace)

    machine = session.machine()
    with ending_signals():
        for name in session.args.vm:
            ask(machine, name)
        return each_vm(session, wait)


def cmd_delete(session):
    return each_vm(session, lambda machine, name: session.client.ask("DELETE", path_of(machine, "vms", name)))


def open_image(path):
    """The file, and its size"""
    try:
        f = open(path, "rb")  # pylint: disable=consider-using-with
        size = os.fstat(f.fileno()).st_size
        f.read(1)
        f.seek(0)
        return f, size
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from None


def chunks(f, size, progress):
    """The file's bytes as the upload takes them; never more than was announced"""
    done = 0
    while done < size:
        data = f.read(min(UPLOAD_CHUNK, size - done))
        if not data:
            raise Usage(f"{f.name}: it became shorter while it was read")
        yield data
        done += len(data)
        progress.show(done)


def upload(session, machine, name, image, path):
    f, size = open_image(path)
    progress = Progress(f"{image} {os.path.basename(path)}", size)
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    to = path_of(machine, "vms", name, "images", image)
    with f:
        try:
            response = session.client.open("PUT", to, chunks(f, size, progress), headers)
            with network():
                response.read()
        finally:
            progress.clear()


def create(session, machine, spec, files):
    """One VM with its images: there whole, or not at all"""
    session.client.ask("POST", path_of(machine, "vms"), spec)
    try:
        for image, path in files.items():
            upload(session, machine, spec["name"], image, path)
    except BaseException:
        with contextlib.suppress(Failure):
            session.client.ask("DELETE", path_of(machine, "vms", spec["name"]))
        raise


def start_created(session, machine, name):
    try:
        session.client.ask("POST", path_of(machine, "vms", name, "start"))
    except Refused as e:
        raise Refused(f"{name} is created but not started: {e}") from None


def cmd_create(session):
    args = session.args
    vms = manifest_vms(args.manifest) if args.manifest else [(spec_of(args), files_of(args))]
    for _, files in vms:  # before anything is changed
        for path in files.values():
            open_image(path)[0].close()
    machine, done = session.machine(), []
    with ending_signals():
        for spec, files in vms:
            try:
                create(session, machine, spec, files)
            except Failure as e:
                raise type(e)(f"{e}" + (f" (created before: {', '.join(done)})" if done else "")) from None
            done.append(spec["name"])
        if args.start:
            for name in done:
                start_created(session, machine, name)
    if session.json:
        show_json([session.client.get(path_of(machine, "vms", name)) for name in done])


def files_of(args):
    return {"kernel": args.kernel, **({"initrd": args.initrd} if args.initrd else {})}


def spec_of(args):
    """The command line as the API's VmSpec"""
    missing = [word for word, value in (("NAME", args.vm), ("--cores or --core-count", args.cores or args.core_count),
                                        ("--memory", args.memory), ("--kernel", args.kernel)) if not value]
    if missing:
        raise Usage(f"create needs {', '.join(missing)} (or --manifest)")
    spec = {"name": args.vm, "memory": args.memory, "console": "uart" if args.console else "none"}
    spec.update({"cores": args.cores} if args.cores else {"core_count": args.core_count})
    if args.cmdline:
        spec["bootargs"] = args.cmdline
    if args.boot_protocol:
        spec["boot_protocol"] = args.boot_protocol
    if args.device:
        spec["devices"] = args.device
    if args.dma_trusted:
        spec["dma_trusted"] = True
    if args.virtual_interrupts:
        spec["virtual_interrupts"] = True
    if args.hotplug_ports:
        spec["hotplug_ports"] = args.hotplug_ports
    if args.autostart:
        spec["autostart"] = True
    spec["restart"] = {"policy": args.restart, **(args.restart_limit or {})}
    return spec
