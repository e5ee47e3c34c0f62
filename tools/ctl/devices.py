# SPDX-License-Identifier: Apache-2.0
"""PCI functions that come and go while a VM is there: device add, remove, list."""
import time

from ctl.client import Refused, path_of
from ctl.terminal import Progress
from ctl.words import show_json, table

LOOK_SECONDS = 0.1  # how often it is looked whether a guest has given a function back


def in_port(vm, function):
    return any(function in (d["function"], d.get("vf")) for d in vm["devices"] if d["port"] is not None)


def cmd_add(session):
    args = session.args
    vm = session.client.ask("POST", path_of(session.machine(), "vms", args.vm, "devices"), {"function": args.function})
    if session.json:
        show_json(vm)


def wait_for_guest(session, path):
    """Until the guest, which was asked, has given the function back"""
    name, function, timeout = session.args.vm, session.args.function, session.args.timeout
    progress = Progress(f"{name} may give it back", timeout, lambda done: f"{done:.0f} of {timeout:g} s")
    began = time.monotonic()
    try:
        while in_port(vm := session.client.get(path), function):
            if vm["state"] != "running":
                raise Refused(f"{name} is {vm['state']} and has not given {function} back; remove it again")
            spent = time.monotonic() - began
            if spent >= timeout:
                raise Refused(f"{name} has not given {function} back within {timeout:g} s; --force takes it without asking")
            progress.show(spent)
            time.sleep(LOOK_SECONDS)
    finally:
        progress.clear()


def cmd_remove(session):
    args = session.args
    path = path_of(session.machine(), "vms", args.vm)
    asked = session.client.ask("DELETE", path_of(session.machine(), "vms", args.vm, "devices", args.function) +
                               ("?force=1" if args.force else ""))
    if asked:
        wait_for_guest(session, path)
    if session.json:
        show_json(session.client.get(path))


def rows_of(vm):
    """Its functions, and its ports that are empty"""
    yield from vm["devices"]
    full = {d["port"] for d in vm["devices"]}
    yield from ({"function": None, "vf": None, "guest": None, "port": port} for port in range(vm["hotplug_ports"]) if port not in full)


def cmd_list(session):
    machine, name = session.machine(), session.args.vm
    vms = session.vms(machine) if name is None else [session.client.get(path_of(machine, "vms", name))]
    found = [{"vm": vm["name"], **row} for vm in vms for row in rows_of(vm)]
    if session.json:
        show_json(found)
    elif found:
        rows = [["VM", "PORT", "FUNCTION", "GUEST"]]
        rows += [[d["vm"], "-" if d["port"] is None else d["port"], d["function"] or "-", d["guest"] or "-"] for d in found]
        print("\n".join(table(rows)))
