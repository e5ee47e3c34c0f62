# SPDX-License-Identifier: Apache-2.0
"""The commands that look: list, info, stats."""
from ctl.client import Client, Refused, Usage, path_of
from ctl.words import cores_of, cores_text, count_text, memory_of, note, printable, show_json, size_text, table, time_text


class Session:
    """What a command has: the client and the options"""

    def __init__(self, args):
        self.args, self.json = args, args.json
        self.client = Client(args.socket)

    def machines(self):
        """All machines, or the one that --machine names"""
        if self.args.machine is not None:
            return [self.client.get(path_of(self.args.machine))]
        return self.client.get("/v1/machines")

    def machine(self):
        """The name of the one machine that is meant"""
        if self.args.machine is not None:
            return self.args.machine
        names = [m["name"] for m in self.client.get("/v1/machines")]
        if not names:
            raise Refused("bhcard manages no machine")
        if len(names) > 1:
            raise Usage(f"there are several machines; name one with --machine: {', '.join(names)}")
        return names[0]

    def vms(self, machine):
        return self.client.get(path_of(machine, "vms"))


def list_row(vm):
    state = vm["state"] + (f" ({vm['busy']})" if vm.get("busy") else "")
    return [vm["name"], state, cores_of(vm), memory_of(vm), vm.get("restarts") or 0]


def cmd_list(session):
    machines = session.machines()
    found = [{"machine": m["name"], **vm} for m in machines for vm in session.vms(m["name"])]
    if session.json:
        show_json(found)
    elif session.args.quiet:
        print("".join(vm["name"] + "\n" for vm in found), end="")
    elif found:
        rows = [["NAME", "STATE", "CORES", "MEMORY", "RESTARTS"]] + [list_row(vm) for vm in found]
        if len(machines) > 1:
            rows = [[name, *row] for name, row in zip(["MACHINE"] + [vm["machine"] for vm in found], rows)]
        print("\n".join(table(rows, right={len(rows[0]) - 1})))
    if not session.json:
        for m in machines:
            if not m["connected"]:
                note(f"{m['name']} is not connected" + (f": {m['refused']}" if m.get("refused") else ""))


def machine_lines(machine, capacity):
    yield "machine", machine["name"]
    yield "connected", "yes" if machine["connected"] else "no" + (f": {machine['refused']}" if machine.get("refused") else "")
    if machine.get("model"):
        yield "model", f"{machine['model']}, {machine.get('arch')}"
        yield "cores", f"{machine['cores']}, of which {machine['management_core']} is the hypervisor's"
        yield "memory", f"{size_text(machine['memory'])} usable"
    if machine["connected"]:
        yield "up", time_text(machine["uptime_us"] / 1e6)
        yield "build", f"{machine.get('build_id')}, started as {machine.get('boot_id')}"
    yield "VMs", machine["vms"]
    if capacity:
        yield "free cores", cores_text(capacity["cores_free"]) or "none"
        largest = max((e["size"] for e in capacity["extents"]), default=0)
        yield "free memory", f"{size_text(capacity['memory_free'])}, {size_text(largest)} in the largest extent"
        yield "free VMs", capacity["vms_free"]
        for name in capacity.get("devices_free") or []:
            yield "free device", name


def spec_lines(spec):
    if spec.get("bootargs"):
        yield "command line", spec["bootargs"]
    for name in spec.get("devices") or []:
        yield "device", name
    if spec.get("dma_trusted"):
        yield "DMA", "TRUSTED: no IOMMU need check its functions"
    if spec.get("hotplug_ports"):
        yield "hot plug", count_text(spec["hotplug_ports"], "port")
    yield "console", spec.get("console", "uart")
    restart = spec.get("restart") or {}
    yield "restart", (f"{restart.get('policy', 'on-failure')}, at most {restart.get('limit', 3)} times in "
                      f"{restart.get('window', 60)} s")
    yield "autostart", "yes" if spec.get("autostart") else "no"


def port_lines(vm):
    there = {d["port"]: f"{d['function']}, in the guest at {d['guest']}" for d in vm.get("devices") or []}
    for port in range(vm.get("hotplug_ports") or 0):
        yield f"port {port}", there.get(port, "empty")


def vm_lines(vm):
    yield "name", vm["name"]
    yield "state", vm["state"] + (f", busy: {vm['busy']}" if vm.get("busy") else "")
    yield "wanted", vm.get("wanted") or ("as the boot manifest says" if vm["kept"] else "-")
    yield "cores", cores_of(vm)
    yield "memory", memory_of(vm)
    for r in vm.get("regions") or []:
        where = f"0x{r['base']:010x}-0x{r['base'] + r['size']:010x} ({size_text(r['size'])})"
        yield "", f"{where}, in the guest at 0x{r['guest']:x}"
    if vm.get("virtual_interrupts") or (vm.get("spec") or {}).get("virtual_interrupts"):
        yield "interrupts", "by list registers, each an exit"
    yield from port_lines(vm)
    for name, image in (vm.get("images") or {}).items():
        if image:
            yield name, size_text(image["size"]) + (f", blake2b {image['blake2b']}" if image.get("blake2b") else "")
    if vm.get("spec"):
        yield from spec_lines(vm["spec"])
    yield "restarts", vm.get("restarts") or 0
    if vm.get("console_dropped"):
        yield "console", f"{vm['console_dropped']} bytes were lost"
    if vm.get("last_error"):
        yield "last error", vm["last_error"]["message"]
    if vm.get("api_socket"):
        yield "API socket", vm["api_socket"]


def print_lines(pairs):
    for name, value in pairs:
        print(f"{name + ':' if name else '':<13} {printable(value)}")


def capacity_of(session, machine):
    return session.client.get(path_of(machine["name"], "capacity")) if machine["connected"] else None


def cmd_info(session):
    if session.args.vm is None:
        found = [{**m, "capacity": capacity_of(session, m)} for m in session.machines()]
        if session.json:
            show_json(found)
            return
        for i, m in enumerate(found):
            if i:
                print()
            print_lines(machine_lines(m, m["capacity"]))
        return
    vm = session.client.get(path_of(session.machine(), "vms", session.args.vm))
    if session.json:
        show_json(vm)
    else:
        print_lines(vm_lines(vm))


def cmd_stats(session):
    stats = session.client.get(path_of(session.machine(), "vms", session.args.vm, "stats"))
    if session.json:
        show_json(stats)
        return
    vcpus = stats["vcpus"]
    rows = [["EXITS", *(f"VCPU{i} (CORE {v['core']})" for i, v in enumerate(vcpus)), "TOTAL"]]
    for reason in [*stats["reasons"], None]:
        numbers = [sum(v["exits"].values()) if reason is None else v["exits"].get(reason, 0) for v in vcpus]
        rows.append([reason or "total", *numbers, sum(numbers)])
    print("\n".join(table(rows, right=set(range(1, len(vcpus) + 2)))))
